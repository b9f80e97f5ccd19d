"""The zygote: a Python with nothing but miniray and cloudpickle in it, that forks workers on request.

It speaks with the supervisor over one socket (core/engine/process/zygote.h).  It has one thread and no numpy: a fork
takes about a millisecond, and the child shares nearly all its memory.
"""

from __future__ import annotations

import _signal
import array
import errno
import faulthandler
import gc
import os
import select
import signal
import socket
import struct
import sys
import threading
from typing import List, Optional, Tuple

from . import _core, _worker

_SIGCHLD, _SIGINT = int(signal.SIGCHLD), int(signal.SIGINT)
_MESSAGE = struct.Struct("<IIIIiiii")
_FIRST, _FIRST_MS = 8, 20  # the first workers, and how long they have the machine to themselves
FORK, READY, FORKED, FAILED, CHANGED = 1, 64, 65, 66, 67


def _receive(sock: socket.socket) -> "Optional[Tuple[tuple, List[int]]]":
    """One request and its descriptors; None at the end."""
    data, ancillary, _flags, _address = sock.recvmsg(_MESSAGE.size, socket.CMSG_SPACE(16 * 4), socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    if len(data) < _MESSAGE.size:
        for fd in fds:
            os.close(fd)
        return None
    return _MESSAGE.unpack(data), list(fds)


def _reap(sock: socket.socket, workers: "dict[int, int]") -> None:
    """Tells of every child that ended, stopped or went on."""
    flags = os.WEXITED | os.WSTOPPED | os.WCONTINUED | os.WNOHANG
    while True:
        try:
            info = os.waitid(os.P_ALL, 0, flags)
        except ChildProcessError:
            return
        if info is None:
            return
        worker = workers.get(info.si_pid, 0)
        if info.si_code in (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED):
            workers.pop(info.si_pid, None)
        sock.send(_MESSAGE.pack(CHANGED, worker, 0, 0, info.si_pid, info.si_code, info.si_status, 0))


def _in_child(sock: socket.socket, zygote: int, worker: int, link: int, node: int, fds: List[int]) -> None:
    """Becomes a worker.  Never returns.

    It tells of itself before it joins: a zygote that is killed between the fork and the telling would leave a worker that
    nobody knows, and its link would be given to a second one.

    Whatever it touches here is memory of its own, in each of a thousand actors: what can be done before the fork is done
    there.
    """
    code = 1
    try:
        _core.die_with_parent(zygote)
        sock.send(_MESSAGE.pack(FORKED, worker, 0, 0, os.getpid(), 0, 0, 0))
        sock.close()
        os.setsid()
        os.dup2(fds[0], 1)
        os.dup2(fds[1], 2)
        for fd in fds:
            os.close(fd)
        os.environ["MINIRAY_WORKER"] = f"{worker}:{link}:{node}"
        code = 0
        try:
            _worker.main()
        except SystemExit as why:
            code = why.code if isinstance(why.code, int) else 0 if why.code is None else 1
        except BaseException:
            import traceback

            traceback.print_exc()
            code = 1
        import atexit

        atexit._run_exitfuncs()
        threads = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
        for thread in threads:
            thread.join(1)
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _serve(sock: socket.socket) -> None:
    workers: "dict[int, int]" = {}
    wake_in, wake_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_out, warn_on_full_buffer=False)
    me = os.getpid()
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    poll.register(wake_in, select.POLLIN)
    sock.send(_MESSAGE.pack(READY, 0, 0, 0, me, 0, 0, 0))
    holes: "Optional[list]" = None
    while True:
        ready = {fd for fd, _ in poll.poll(_FIRST_MS if holes is None else None)}
        if holes is None and (not ready or len(workers) == _FIRST):
            _warm()
            gc.collect()
            gc.freeze()
            holes = _fill_holes()
        if wake_in in ready:
            try:
                os.read(wake_in, 4096)
            except BlockingIOError:
                pass
            _reap(sock, workers)
        if sock.fileno() not in ready:
            continue
        request = _receive(sock)
        if request is None:
            return
        (kind, worker, link, node, *_), fds = request
        if kind != FORK or len(fds) != 2:
            for fd in fds:
                os.close(fd)
            continue
        try:
            pid = os.fork()
        except OSError as why:
            sock.send(_MESSAGE.pack(FAILED, worker, 0, 0, 0, why.errno or errno.EAGAIN, 0, 0))
            pid = -1
        if pid == 0:
            _signal.set_wakeup_fd(-1)
            _signal.signal(_SIGCHLD, _signal.SIG_DFL)
            _signal.signal(_SIGINT, _signal.default_int_handler)
            os.close(wake_in)
            os.close(wake_out)
            _in_child(sock, me, worker, link, node, fds)
        for fd in fds:
            os.close(fd)
        if pid > 0:
            workers[pid] = worker


def _warm() -> None:
    """Runs once what each worker runs first: the interpreter rewrites code and fills caches as it goes, and pages that
    are written here are shared by all workers, those that are written there are not."""
    import cloudpickle

    from . import _exports

    after_fork = getattr(threading, "_after_fork", lambda: None)
    scope: dict = {"__name__": "__main__"}
    exec("class Warm:\n    def __init__(self, a=1): self.a = a\n    def one(self): return self.a\n"
         "def warm(x=1): return x\n", scope)
    for _ in range(20):  # code is specialised after a few runs
        for made in (scope["Warm"], scope["warm"]):
            with _exports.loading(None, 0):
                cloudpickle.loads(cloudpickle.dumps(made))
        after_fork()  # Python itself runs this in a child


def _fill_holes() -> list:
    """Objects in the places that imports left free in the allocators' pages, for the caller to keep.

    What a worker allocates would go there, spread over pages that it would then have to copy; so it begins pages of its own
    (measured: 130 KB fewer in each worker, for 1.5 MB that all of them share).
    """
    overhead = sys.getsizeof(b"")
    small = [bytes(size - overhead) for size in range(48, 513, 16) for _ in range(200)]  # pools of 16, 32, ..., 512 bytes
    large = [bytes(size - overhead) for size in (8000, 6000, 4000, 3000, 2000, 1500, 1200, 1000, 800, 600) for _ in range(20)]
    return [small, large, [object() for _ in range(200)], [float(i) for i in range(200)]]


def main() -> None:
    """The zygote's life: until the supervisor closes the socket.

    The command line: the session's namespace, and the module search path.  The collector of garbage is off until here:
    there is none to find while modules load.
    """
    _, namespace, *paths = sys.argv
    sys.path[:] = list(dict.fromkeys(paths + [p for p in sys.path if p]))
    sys.argv = [""]
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    import cloudpickle  # noqa: F401

    import miniray
    from miniray import _session, _worker  # noqa: F401

    _session._worker_namespace = namespace
    if threading.active_count() != 1:
        raise SystemExit("miniray: the zygote has more than one thread; a .pth file or sitecustomize starts one")
    number = int(os.environ["MINIRAY_ZYGOTE_FD"])
    sock = socket.socket(fileno=number)
    sock.set_inheritable(False)
    for stream in (sys.stdout, sys.stderr):  # descriptors 1 and 2, which each worker makes its own
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable()
    gc.freeze()
    gc.enable()
    _serve(sock)


if __name__ == "__main__":
    main()
