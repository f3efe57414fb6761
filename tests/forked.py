"""Python processes for tests, forked from one that has imported what a server needs.

Half of what tests of servers take is Python that begins: nearly two seconds of a core each time.
That a process imports no more than it says, and begins as a user's, is the matter of other tests.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
import types
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Nothing that brings prometheus_client: when imported it looks whether there are several workers.
PRELOADED = (
    "service.cli",
    "service.commands.index",
    "service.commands.search",
    "service.commands.serve",
    "service.commands.terminal",
    "service.api.server",
    "index.engines.native",
    "index.indexing",
    "index.search.pipeline",
    "importlib.metadata",
    "uvicorn.lifespan.on",
    "wsgiref.simple_server",
)
TORCH = ("torch", "service.cli")
LONGEST_REQUEST = 1 << 20
# Bytes of a process id and of a status.
NUMBER = 8


class Process(subprocess.Popen):
    """``subprocess.Popen([sys.executable, "-u", *arguments], ...)``, forked.

    Args:
        arguments: of Python: ``-m MODULE ...``, whose ``main`` is called, or ``-c CODE ...``.
        preloaded: what is imported already.
        options: those of files, ``cwd`` and ``env``; variables that a module reads when it is
            imported have no effect.
    """

    def __init__(self, arguments, preloaded=PRELOADED, **options):
        self._preloaded = preloaded
        super().__init__([os.fspath(each) for each in arguments], **options)

    def _execute_child(
        self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo,
        creationflags, shell, p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *rest,
    ):  # fmt: skip
        self._status, theirs = socket.socketpair()
        files = [p2cread, c2pwrite, errwrite]
        files = [place if file == -1 else file for place, file in enumerate(files)]
        told = json.dumps([args, os.fspath(cwd or Path.cwd()), dict(env or os.environ)])
        with theirs:
            socket.send_fds(_parent(self._preloaded), [told.encode()], [*files, theirs.fileno()])
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)
        told = self._status.recv(NUMBER)
        assert told, "the process that is forked has died"
        self._child_created = True
        self.pid = int.from_bytes(told, "little")

    def _try_wait(self, flags):
        wait = 0 if flags & os.WNOHANG else None
        if self._status is None or not select.select([self._status], [], [], wait)[0]:
            return 0, 0
        told = self._status.recv(NUMBER)
        # Nothing, where the process that is forked has died.
        status = int.from_bytes(told, "little") if told else int(signal.SIGKILL)
        self._status.close()
        self._status = None
        return self.pid, status

    def _internal_poll(self, *_args, **_options):
        if self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid == self.pid:
                self._handle_exitstatus(status)
        return self.returncode


def run(arguments, *, stdin=b"", timeout=300, **options):
    """``subprocess.run`` of a forked process, with what it wrote."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with Process(arguments, **pipes, **options) as process:
        try:
            out, err = process.communicate(stdin, timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@functools.cache
def _parent(preloaded):
    """The socket of the process that is forked, which begins now and ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    variables = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "HF_HUB_OFFLINE": "1"}
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked", str(theirs.fileno()), *preloaded],
            pass_fds=[theirs.fileno()], cwd=ROOT, env=variables, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def end():
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(requests, preloaded):
    """Fork for each request, until nobody can ask any more."""
    for name in preloaded:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running = {}
    while True:
        ready = select.select([requests, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            for pid in list(running):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    with running.pop(pid) as told:
                        _send(told, status)
        if requests in ready:
            request, files, _, _ = socket.recv_fds(requests, LONGEST_REQUEST, 4)
            if not request:
                return
            told = socket.socket(fileno=files.pop())
            pid = os.fork()
            if not pid:
                for each in (requests, told, *running.values()):
                    each.close()
                os.close(woken)
                _begin(json.loads(request), files)
            running[pid] = told
            for each in files:
                os.close(each)
            _send(told, pid)


def _send(told, number):
    # Who asked may be gone.
    with contextlib.suppress(OSError):
        told.send(number.to_bytes(NUMBER, "little"))


def _begin(request, files):
    """Be the process that was asked for, in a fork; doesn't return."""
    arguments, cwd, env = request
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    status = 1
    try:
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        for place, file in enumerate(files):
            os.dup2(file, place)
        for file in files:
            if file > 2:
                os.close(file)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        for name, place, errors in (("stdout", 1, "strict"), ("stderr", 2, "backslashreplace")):
            unbuffered = open(place, "wb", buffering=0, closefd=False)  # noqa: SIM115
            setattr(sys, name, io.TextIOWrapper(unbuffered, errors=errors, write_through=True))
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
        sys.path[0] = cwd
        _run(arguments)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if status == 1 and isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(status)


def _run(arguments):
    kind, what, *rest = arguments
    if kind == "-m":
        module = importlib.import_module(what)
        sys.argv = [module.__file__, *rest]
        # What multiprocessing begins imports the module that is the program.
        sys.modules["__main__"] = module
        module.main()
    else:
        sys.argv = ["-c", *rest]
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), sys.modules["__main__"].__dict__)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
