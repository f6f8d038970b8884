"""Actions of the playbook in processes of their own, ended or refused at their n-th change of a folder.

A server that has imported everything forks a child for each request, a line of JSON: the action, its arguments, the
folders that are watched, at which change of them something happens, and what: `kill` (SIGKILL), `term` (SIGTERM),
`full` (the disk is full from then on), `rename` (the renaming fails), or nothing. A change is what Python's own audit
events tell of files: opened for writing, renamed, removed, linked, made, changed in its rights. The answer says how
many changes there were and how the child ended.
"""

import contextlib
import errno
import json
import os
import signal
import sys
from pathlib import Path

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.link", "os.utime", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def inject(watched: list[str], at: int, kind: str, counted: list[int]) -> None:
    def hook(event: str, args: tuple) -> None:
        if event == "open":
            if not (isinstance(args[2], int) and args[2] & WRITING):
                return
        elif event not in CHANGES:
            return
        path = os.fsdecode(args[0]) if isinstance(args[0], (str, bytes, os.PathLike)) else ""
        if not any(path.startswith(folder) for folder in watched):
            return
        counted[0] += 1
        late = counted[0] >= at > 0
        if counted[0] == at and kind in ("kill", "term"):
            os.kill(os.getpid(), signal.SIGKILL if kind == "kill" else signal.SIGTERM)
        elif late and kind == "full" and event not in ("os.remove", "os.rmdir", "os.rename", "os.chmod"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        elif counted[0] == at and kind == "rename" and event == "os.rename":
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    sys.addaudithook(hook)


def act(action: str, arguments: dict) -> None:
    from salesops import crm
    from salesops.crm import importing

    if action in ("import", "snapshot"):
        given = [Path(path) for path in arguments.pop("given")]
        importing.bring_in(arguments.pop("system"), given, Path(arguments.pop("to")), **arguments)
    elif action == "undo":
        importing.undo(arguments["day"], Path(arguments["to"]))
    elif action == "prepare":
        crm.open(arguments["source"], as_of=arguments.get("as_of")).digest()
    elif action == "report":
        publish(arguments)


def publish(arguments: dict) -> None:
    """A run whose pages were made before by real kernels: everything that the run itself does."""
    from salesops.report import jobs, run

    outcomes = json.loads(Path(arguments["outcomes"]).read_text("utf-8"))
    files = [Path(path) for path in arguments["params"]]
    wanted = jobs.prepare(files, overrides=arguments["overrides"], out=Path(arguments["out"]))

    def make(task: dict) -> dict:
        if task["do"] == "prepare":
            act("prepare", {"source": task["parameters"]["source"], "as_of": task["as_of"]})
            return {"ending": "made"}
        return outcomes[f"{task['parameters']['period']} {task['parameters']['lang']}"]

    result = run.run(wanted, make, force=True)
    if not result.good:
        raise SystemExit(3)


def child(request: dict, answer: int) -> None:
    from salesops import interrupts

    interrupts.listen()
    counted, code = [0], 0
    inject(request["watched"], request["at"], request["kind"], counted)
    try:
        os.environ |= request.get("env", {})
        os.chdir(request["cwd"])
        act(request["action"], dict(request["arguments"]))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        code, said = 1, f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError):
            os.write(2, f"{said}\n".encode())
    os.write(answer, json.dumps(counted[0]).encode())
    os._exit(code)


def serve() -> None:
    import importlib

    for name in ("salesops.crm.book", "salesops.crm.importing", "salesops.report.run", "salesops.report.front",
                 "salesops.check", "pyarrow.parquet", "jinja2", "salesops.hygiene.params"):  # fmt: skip
        importlib.import_module(name)
    for line in sys.stdin:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            child(json.loads(line), writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as stream:
            counted = stream.read()
        _pid, status = os.waitpid(pid, 0)
        ended = os.waitstatus_to_exitcode(status)
        sys.stdout.write(json.dumps({"changes": int(counted) if counted else None, "code": ended}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
