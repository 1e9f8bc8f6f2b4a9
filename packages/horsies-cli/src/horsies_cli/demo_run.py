"""A whole `horsies demo`: throw-away database, worker, the steps, and the end of all of it."""

import os
import signal
import sys
import threading
import time
from collections import deque

from rich.console import Console

from horsies.db.migrate import migrate
from horsies.embedded import EmbeddedServer, throwaway_directory
from horsies_cli.children import Child
from horsies_cli.session import child_environment, require_distribution

_APP = "horsies_cli.demo_app:app"
_PROCESSES = 2
_KEPT_LINES = 40
_END_SECONDS = 15.0


class DemoStoppedError(Exception):
    """The user does not want to see more of it."""


def run_demo(console: Console, *, keep: bool = False) -> int:
    """Run the demo on a console; the exit status: 0, or 1 if anything came out differently.

    Raises:
        RefusedError: horsies-worker is not installed.
        ConfigurationError: HRS-203, no PostgreSQL to start.
        DemoStoppedError: interrupted by the user.
    """
    require_distribution("horsies_worker", "horsies-worker")
    stop = _StopRequests()
    started = time.perf_counter()
    with EmbeddedServer(throwaway_directory("horsies-demo-"), durable=False, remove=True) as server:
        stop.check()
        migrate(server.url())
        with _Worker(server.url(), stop) as worker:
            status = _steps(console, worker, server, started)
            if keep and status == 0:
                console.print(f"The database stays up until Ctrl+C: {server.url()}", soft_wrap=True)
                stop.wait()
            return status


class _StopRequests:
    """Counts SIGINT and SIGTERM. An exception out of a signal handler could hit anywhere, in an import for one."""

    def __init__(self) -> None:
        self.count = 0
        self._seen = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: object) -> None:
        self.count += 1
        self._seen.set()

    def check(self) -> None:
        """Raise DemoStoppedError if there was a request."""
        if self.count:
            raise DemoStoppedError

    def wait(self) -> None:
        """Until there is a request."""
        self._seen.wait()


def _steps(console: Console, worker: "_Worker", server: EmbeddedServer, started: float) -> int:
    os.environ |= {"HORSIES_DEV": "1", "HORSIES_DATABASE_URL": server.url()}
    # Imported here: the demo's app is made when it is imported, for the database that is known now.
    from horsies.result import UnwrapError
    from horsies_cli.demo_app import app
    from horsies_cli.demo_steps import STEPS, Tally, Tools, UnexpectedError
    from horsies_cli.demo_view import DemoView, summary

    tally = Tally()
    failure = ""
    with DemoView(console, [title for title, _ in STEPS]) as view:
        tools = Tools(tally, worker.check, view.progress)
        for _, step in STEPS:
            try:
                view.finish_step(True, step(tools))
            except (UnexpectedError, UnwrapError) as error:
                failure = str(error)
                view.finish_step(False, failure)
                break
    app.get_broker().close()
    if failure:
        console.print("[bold red]This is not what should have come out.[/] The worker's last lines:")
        for line in worker.last_lines():
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
        return 1
    console.print(summary(tally, time.perf_counter() - started, f"PostgreSQL {_major_version(server)}"))
    return 0


def _major_version(server: EmbeddedServer) -> str:
    return (server.directory / "data" / "PG_VERSION").read_text().strip()


class _Worker:
    """The worker beside the demo; its output is kept in case something goes wrong."""

    def __init__(self, url: str, stop: _StopRequests) -> None:
        self._stop = stop
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._lock = threading.Lock()
        command = [sys.executable, "-m", "horsies_worker", _APP, "--processes", str(_PROCESSES)]
        self._child = Child("worker", [*command, "--drain-timeout", "5"], child_environment(url), self._keep)

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        known = self._stop.count
        self._child.ask_to_end()
        deadline = time.monotonic() + _END_SECONDS
        while not self._child.wait(0.05):
            if time.monotonic() > deadline or self._stop.count > max(known, 1):
                self._child.kill()
        self._child.close()

    def _keep(self, _name: str, _kind: str, text: str) -> None:
        with self._lock:
            self._lines.append(text)

    def last_lines(self) -> list[str]:
        """What it wrote last."""
        with self._lock:
            return list(self._lines)

    def check(self) -> None:
        """Fail the step if the worker is gone; end the demo if the user wants that."""
        self._stop.check()
        if self._child.status is not None:
            from horsies_cli.demo_steps import UnexpectedError

            raise UnexpectedError(f"the worker ended with exit status {self._child.status}")
