"""Start of an executor: find the app, import its tasks, run the hooks, say READY, then run tasks."""

import os
import socket
import sys
import threading
import traceback

from horsies.app import Horsies
from horsies.app_locator import load_app
from horsies.process_logs import configure_logging
from horsies.suppression import suppress_sends
from horsies_worker import wire
from horsies_worker.begin_marks import BeginMarks
from horsies_worker.child.keeper import Keeper
from horsies_worker.child.own_process import limit_end, settle
from horsies_worker.child.runner import Runner

EXIT_HOOK_FAILED = 173
EXIT_START_FAILED = 1
HOOK_LIMIT_S = 10.0


def main(socket_fd: int, marks_fd: int) -> int:
    """Run one executor to its end; its exit code."""
    keeper = Keeper(socket.socket(fileno=socket_fd))
    settle((socket_fd, marks_fd), after_fork=keeper.abandon)
    init = keeper.receive_init()
    configure_logging(init["loglevel"], init["log_format"])
    try:
        app = _load(init)
    except BaseException:
        keeper.send(wire.START_FAILED, (EXIT_START_FAILED, traceback.format_exc()))
        return EXIT_START_FAILED
    failure = _run_hooks(app, keeper)
    if failure is not None:
        keeper.send(wire.START_FAILED, (EXIT_HOOK_FAILED, failure))
        return EXIT_HOOK_FAILED
    runner = Runner(app, keeper, BeginMarks(marks_fd), init["concurrency"], init["memory_limit"])
    keeper.start(init["silence_limit_s"])
    keeper.send(wire.READY, runner.resident_memory())
    try:
        runner.run_until_stopped()
    except BaseException:
        runner.crash()
    limit_end(0)
    return 0


def _load(init: wire.Init) -> Horsies:
    sys.path[:] = init["sys_path"]
    os.chdir(init["cwd"])
    with suppress_sends():
        app = load_app(init["app"])
        app.import_task_modules()
    return app


def _run_hooks(app: Horsies, keeper: Keeper) -> str | None:
    """None, or what went wrong with which hook; one that takes too long ends the process (R-037)."""

    def end(name: str) -> None:
        failure = f"child start hook {name} did not end within {HOOK_LIMIT_S:.0f} s"
        keeper.send(wire.START_FAILED, (EXIT_HOOK_FAILED, failure))
        os._exit(EXIT_HOOK_FAILED)

    for hook in app.get_child_process_start_hooks():
        name = getattr(hook, "__qualname__", repr(hook))
        overrun = threading.Timer(HOOK_LIMIT_S, end, (name,))
        overrun.daemon = True
        overrun.start()
        try:
            hook()
        except BaseException:
            return f"child start hook {name} raised:\n{traceback.format_exc()}"
        finally:
            overrun.cancel()
    return None
