"""Run one program, and end it with all its processes when the starter asks for it or is gone.

Run as a script by its path, with nothing but the standard library. The starter holds the other end of this
process's standard input: `t` asks the program to end, `k` kills it, and the end of the input means that the
starter died.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading

TERMINATE = b"t"
KILL = b"k"
_GRACE_SECONDS = 8.0


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _obey(program: subprocess.Popen[bytes]) -> None:
    while order := os.read(0, 1):
        if order == TERMINATE:
            program.send_signal(signal.SIGTERM)
        elif order == KILL:
            _kill_group(program.pid)
    program.send_signal(signal.SIGTERM)
    try:
        program.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        _kill_group(program.pid)


def guard(command: list[str]) -> int:
    """Run the program to its end; its exit status, or 128 and the signal that ended it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A handler, not SIG_IGN: what is ignored would stay ignored in the program.
        signal.signal(number, lambda _number, _frame: None)
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
    threading.Thread(target=_obey, args=(program,), daemon=True).start()
    status = program.wait()
    _kill_group(program.pid)  # what the program left behind
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    # The other thread reads the input for ever; the interpreter's own end would wait for nothing.
    os._exit(guard(sys.argv[1:]))
