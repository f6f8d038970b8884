"""A process that the warm parent forked, seen from the one who asked for it."""

import json
import os
import signal
import socket

WARM = "SALESOPS_WARM"  # the socket of the warm parent


class Forked:
    """A process that the warm parent forked, with the manners of a `subprocess.Popen`.

    The connection is the life line: when it closes, the parent kills the process with everything it began.
    """

    stdin = stdout = stderr = None

    def __init__(self, where: str, request: dict, *, seconds: float | None = None):
        self.returncode: int | None = None
        self.orphaned = False  # the parent is gone, and the process with it
        self._line = socket.socket(socket.AF_UNIX)
        self._line.settimeout(seconds)
        self._line.connect(where)
        self._line.sendall(json.dumps(request).encode() + b"\n")
        self._rest = b""
        said = self._read(seconds)
        if "pid" not in said:
            self._line.close()
            raise ConnectionError(said.get("error", "the parent of the kernels does not answer"))
        self.pid = said["pid"]

    def _read(self, seconds: float | None) -> dict:
        """The next word of the parent; empty where none comes in time.

        Raises
        ------
        ConnectionError
            If the parent is gone.
        """
        self._line.settimeout(seconds)
        while b"\n" not in self._rest:
            try:
                part = self._line.recv(4096)
            except (TimeoutError, BlockingIOError):
                return {}
            if not part:
                raise ConnectionError("the parent of the kernels ended")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def poll(self) -> int | None:
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code, below zero for a signal; None while it runs on after `timeout` seconds."""
        if self.returncode is None:
            try:
                said = self._read(timeout)
            except OSError:
                self.orphaned, said = True, {"exit": -signal.SIGKILL}
            if said:
                self.returncode = said["exit"]
                self._line.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """End the process with everything it began."""
        self._line.close()
        self.returncode = -signal.SIGKILL if self.returncode is None else self.returncode
