"""What an executor does about its own process: signals, descriptors, copies of it that tasks fork, its end."""

import atexit
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

EXIT_ORPHANED = 1
THREADS_GRACE_S = 3.0
"""What threads that tasks have left behind get to end by themselves; the coordinator waits a little longer."""

_PR_SET_PDEATHSIG = 1
_DEFAULTS: dict[signal.Signals, Callable[[int, FrameType | None], object] | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}


def settle(fds: tuple[int, ...], after_fork: Callable[[], None]) -> None:
    """Set up this process before it runs anything of the app.

    Args:
        fds: Descriptors that only this process may hold.
        after_fork: Called first thing in every copy of this process that a task forks.
    """
    for number in _DEFAULTS:
        # Stop signals reach the whole process group; the coordinator decides when an executor ends. Not
        # SIG_IGN: programs that a task starts would inherit it, and could not be terminated.
        signal.signal(number, _stay)
        signal.siginterrupt(number, False)
    _die_with_parent()
    for fd in fds:
        os.set_inheritable(fd, False)
    os.register_at_fork(after_in_child=after_fork)
    os.register_at_fork(after_in_child=_restore_signals)


def limit_end(exit_code: int) -> None:
    """Let the interpreter end as it does, but without waiting for ever for threads that tasks have left behind."""
    at_exit = threading.Event()
    atexit.register(at_exit.set)  # comes first of all handlers, once no thread is waited for

    def end() -> None:
        if at_exit.is_set():
            return  # the app's handlers may take their time; the coordinator limits it
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage] - nothing public runs them before os._exit
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(exit_code)

    timer = threading.Timer(THREADS_GRACE_S, end)
    timer.daemon = True
    timer.start()


def _stay(number: int, frame: object) -> None:
    """Go on as if nothing had come."""


def _restore_signals() -> None:
    for number, default in _DEFAULTS.items():
        if signal.getsignal(number) is _stay:
            signal.signal(number, default)


def _die_with_parent() -> None:
    """Linux: SIGKILL when the coordinator ends, however it ends; elsewhere the keeper notices the closed socket."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(EXIT_ORPHANED)
