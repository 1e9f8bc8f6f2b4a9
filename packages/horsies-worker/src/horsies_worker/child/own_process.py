"""What an executor does about its own process: signals, descriptors and copies of it that tasks fork."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

EXIT_ORPHANED = 1
_PR_SET_PDEATHSIG = 1
_DEFAULTS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


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
