"""Kernels for pages: private Unix sockets, no idle waits, and, where there is a warm parent, forked from it.

`WarmProvisioner` is an entry point of jupyter_client (`jupyter_client.kernel_provisioners`): it asks the warm parent
named in `$SALESOPS_WARM` for a kernel, and starts an ordinary one where there is none.
"""

import asyncio
import os
import time
from pathlib import Path
from queue import Empty

from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from salesops.report.forked import WARM, Forked

START_SECONDS = 60  # until a warm parent has imported everything and forked
LONGEST_SOCKET = 100  # bytes in the path of a Unix socket, less what is added to it


def memory_limit() -> int | None:
    """The bytes this process may write to; None where that is not bounded, or cannot be."""
    try:
        import resource
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return None if limit == resource.RLIM_INFINITY else limit


class Client(AsyncKernelClient):
    """A client that knows a kernel to be ready by its answer, not by a fifth of a second of silence."""

    async def wait_for_ready(self, timeout=None):
        """Wait for the kernel's answer and for its channel of outputs to be connected.

        Raises
        ------
        RuntimeError
            If the kernel dies or does not answer within `timeout` seconds.
        """
        deadline = time.monotonic() + (timeout or 60)
        while True:
            asked = self.kernel_info()
            if await self._answered(self.shell_channel, asked, "kernel_info_reply", 1) and await self._answered(
                self.iopub_channel, asked, "status", 0.2, idle=True
            ):
                return
            if not await self.parent.is_alive():
                raise RuntimeError("the kernel ended before it was ready")
            if time.monotonic() > deadline:
                raise RuntimeError(f"the kernel was not ready after {timeout} seconds")

    async def _answered(self, channel, asked: str, kind: str, seconds: float, *, idle: bool = False) -> bool:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = await channel.get_msg(timeout=left)
            except Empty:
                return False
            ours = message["parent_header"].get("msg_id") == asked and message["msg_type"] == kind
            if ours and (not idle or message["content"]["execution_state"] == "idle"):
                if kind == "kernel_info_reply":
                    self._handle_kernel_info_reply(message)
                return True
        return False


class Manager(AsyncKernelManager):
    """A kernel whose sockets are files in the working folder of its page: no ports to race for, nothing on TCP."""

    exit_code: int | None = None  # of a kernel that ended by itself; below zero, the signal
    orphaned = False  # its warm parent is gone, and it with it

    def __init__(self, **kwargs):
        folder = os.environ.get("JUPYTER_RUNTIME_DIR", "")
        if os.name == "posix" and 0 < len(os.fsencode(folder)) < LONGEST_SOCKET:
            kwargs |= {"transport": "ipc", "ip": f"{folder}/k"}
        super().__init__(client_class=f"{__name__}.Client", **kwargs)

    @property
    def kernel_spec(self) -> KernelSpec | None:
        spec = super().kernel_spec
        if spec is not None and os.environ.get(WARM):
            spec.metadata = {**spec.metadata, "kernel_provisioner": {"provisioner_name": "salesops-warm"}}
        return spec

    async def _async_wait(self, pollinterval: float = 0.1) -> None:  # noqa: ARG002  as jupyter_client calls it
        if self.provisioner is not None:
            await self.provisioner.wait()

    async def is_alive(self) -> bool:
        if self.has_kernel and (code := await self.provisioner.poll()) is not None:
            Manager.exit_code = code
            Manager.orphaned = getattr(self.provisioner.process, "orphaned", False)
        return await self._async_is_alive()


class WarmProvisioner(LocalProvisioner):
    """Kernels forked from the warm parent; ordinary ones where no parent is named."""

    async def launch_kernel(self, cmd, **kwargs):
        where = os.environ.get(WARM)
        if not where:
            return await super().launch_kernel(cmd, **kwargs)
        request = {"do": "kernel", "argv": cmd, "env": kwargs["env"], "cwd": kwargs.get("cwd") or str(Path.cwd())}
        if limit := memory_limit():
            request["memory"] = limit
        self.process = Forked(where, request, seconds=START_SECONDS)
        self.pid = self.pgid = self.process.pid
        return self.connection_info

    async def wait(self):
        if isinstance(self.process, Forked):
            await asyncio.get_running_loop().run_in_executor(None, self.process.wait)
        return await super().wait()
