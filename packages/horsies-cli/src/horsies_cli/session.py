"""One run of `horsies dev`: a private PostgreSQL, and a worker and a scheduler that use it.

Order of the end: scheduler, worker (which drains), database. Whatever way this process ends, the children's
guards and the server's supervisor notice and end what they watch.
"""

import fcntl
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from horsies.embedded import EmbeddedServer, throwaway_directory
from horsies_cli.children import Child
from horsies_cli.console import PrefixedConsole
from horsies_cli.reload import SourceWatcher, syntax_error

DRAIN_SECONDS = 10.0
RELOAD_DRAIN_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_FORCED_SECONDS = 10.0
# By name: importing it would load the app's whole world into this process.
_SCHEDULE_PROBE = "horsies_cli.schedule_probe"


@dataclass(frozen=True, slots=True)
class DevOptions:
    """What `horsies dev` was asked for."""

    locator: str
    processes: int
    concurrency: int | None
    data_directory: Path | None
    port: int | None
    reload: bool
    scheduler: bool
    loglevel: str


class RefusedError(Exception):
    """It cannot run; the message says why and what to do."""


def worker_command(options: DevOptions) -> list[str]:
    """The worker's command line."""
    command = [sys.executable, "-m", "horsies_worker", options.locator]
    command += ["--processes", str(options.processes), "--loglevel", options.loglevel]
    command += ["--drain-timeout", str(int(DRAIN_SECONDS))]
    if options.concurrency is not None:
        command += ["--concurrency", str(options.concurrency)]
    return command


def child_environment(url: str) -> dict[str, str]:
    """The environment in which the app uses the private database whatever its configuration says (C-071)."""
    environment = dict(os.environ)
    environment |= {"HORSIES_DEV": "1", "HORSIES_DATABASE_URL": url, "PYTHONUNBUFFERED": "1"}
    environment.setdefault("DATABASE_URL", url)
    return environment


def require_distribution(module: str, distribution: str) -> None:
    """Refuse to run without a sibling distribution."""
    if importlib.util.find_spec(module) is None:
        raise RefusedError(f"{distribution} is not installed\nadd it with: pip install {distribution}")


class DevSession:
    """Starts everything, watches it, and stops it in order."""

    def __init__(self, options: DevOptions, console: PrefixedConsole) -> None:
        self._options = options
        self._console = console
        self._stop_requests = 0
        self._woken = threading.Event()
        self._children: dict[str, Child] = {}
        self._environment: Mapping[str, str] = {}
        self._watcher = SourceWatcher(Path.cwd()) if options.reload else None

    def run(self) -> int:
        """Until stopped; the exit status.

        Raises:
            RefusedError: a distribution is missing, or another `horsies dev` uses the data directory.
            ConfigurationError: HRS-203, the private PostgreSQL cannot be started.
        """
        require_distribution("horsies_worker", "horsies-worker")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request_stop)
        with self._server() as server:
            self._environment = child_environment(server.url())
            self._console.line("db", "stdout", f"PostgreSQL runs in {server.directory}")
            self._console.line("db", "stdout", f"use it from other terminals: {server.url()}")
            setting = f"export HORSIES_DEV=1 HORSIES_DATABASE_URL={server.url()}"
            self._console.line("db", "stdout", f"and for programs of the app there: {setting}")
            try:
                self._start_children()
                return self._watch(server, LogFollower(server.directory / "postgres.log"))
            finally:
                for child in self._children.values():
                    child.kill()

    def _request_stop(self, _number: int, _frame: object) -> None:
        self._stop_requests += 1
        self._woken.set()

    @contextmanager
    def _server(self) -> Generator[EmbeddedServer]:
        directory = self._options.data_directory
        if directory is None:
            server = EmbeddedServer(
                throwaway_directory("horsies-dev-"), durable=False, port=self._options.port, remove=True
            )
        else:
            _keep_out_of_version_control(directory)
            server = EmbeddedServer(directory, port=self._options.port)
        with server:
            # A kernel lock: it is free as soon as the process that held it is gone.
            lock = os.open(server.directory / "dev.lock", os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield server
            except BlockingIOError:
                raise RefusedError(
                    f"another `horsies dev` uses {server.directory}\n"
                    "stop it, or choose another directory with --data-dir, or use --ephemeral"
                ) from None
            finally:
                os.close(lock)

    def _start_children(self) -> None:
        self._start("worker", worker_command(self._options))
        if not self._options.scheduler or importlib.util.find_spec("horsies_scheduler") is None:
            return
        if self._has_schedule():
            command = [sys.executable, "-m", "horsies_scheduler", self._options.locator]
            self._start("scheduler", [*command, "--loglevel", self._options.loglevel])

    def _start(self, name: str, command: list[str]) -> None:
        self._children[name] = Child(name, command, self._environment, self._console.line)

    def _has_schedule(self) -> bool:
        """An app that cannot be imported has none here: the worker, which imports it too, shows why."""
        probe = subprocess.run(  # noqa: S603
            [sys.executable, "-m", _SCHEDULE_PROBE, self._options.locator],
            env=dict(self._environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            start_new_session=True,
        )
        return probe.returncode == 0

    def _watch(self, server: EmbeddedServer, log: "LogFollower") -> int:
        while not self._stop_requests:
            self._woken.wait(_LOOK_SECONDS)
            for line in log.new_lines():
                self._console.line("db", "stderr", line)
            self._reload_if_changed()
            if self._stop_requests:
                break
            ended = [child for child in self._children.values() if child.status is not None]
            for child in ended:
                child.close()
                del self._children[child.name]
                self._console.line("dev", "stderr", f"the {child.name} ended with exit status {child.status}")
            if not server.is_running():
                self._console.line("dev", "stderr", f"PostgreSQL ended: see {server.directory}/postgres.log")
                return 1  # nothing could be written down any more: the children are killed
            if ended and self._watcher is None:
                self._stop_all()
                return 1
            if ended:
                self._console.line("dev", "stderr", "waiting for a change of the code")
        return self._stop_all()

    def _reload_if_changed(self) -> None:
        changed = self._watcher.changes() if self._watcher is not None else []
        if not changed:
            return
        broken = [(file, error) for file in changed if (error := syntax_error(file)) is not None]
        for file, error in broken:
            self._console.line("dev", "stderr", f"{file}:{error.lineno}: {error.msg}")
        if broken:
            self._console.line("dev", "stderr", "the old code keeps running until this is corrected")
            return
        self._console.line("dev", "stdout", f"{changed[0]} changed, restarting")
        for name in ("scheduler", "worker"):
            self._stop(name, RELOAD_DRAIN_SECONDS)
        if not self._stop_requests:
            self._start_children()

    def _forced(self) -> bool:
        """Whether the user asked a second time."""
        return self._stop_requests > 1

    def _stop_all(self) -> int:
        """Stop the scheduler, then the worker; 0, or 3 if a second request forced it."""
        for name in ("scheduler", "worker"):
            self._stop(name, DRAIN_SECONDS + _FORCED_SECONDS)
        return 3 if self._forced() else 0

    def _stop(self, name: str, drain_seconds: float) -> None:
        """Ask a child to end; force it when the time is over or the user asks once more."""
        child = self._children.pop(name, None)
        if child is None:
            return
        child.ask_to_end()
        deadline = time.monotonic() + drain_seconds
        while not child.wait(0.05) and time.monotonic() < deadline and not self._forced():
            pass
        if child.status is None and not self._forced():
            child.ask_to_end()  # asked twice, a worker ends its tasks and writes down what became of them
            child.wait(_FORCED_SECONDS)
        if child.status is None:
            child.kill()
        child.close()


def _keep_out_of_version_control(directory: Path) -> None:
    """The default place lies in the project; git passes over it."""
    parent = directory.parent
    if parent.name == ".horsies" and not parent.exists():
        parent.mkdir(parents=True)
        (parent / ".gitignore").write_text("*\n")


class LogFollower:
    """New lines of the server's log that matter to a developer: warnings, errors and what explains them."""

    _WANTED = ("WARNING:", "ERROR:", "FATAL:", "PANIC:", "DETAIL:", "HINT:", "CONTEXT:", "STATEMENT:")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size

    def new_lines(self) -> list[str]:
        """Complete wanted lines since the last look."""
        with self._path.open("rb") as log:
            log.seek(self._position)
            text = log.read()
        complete = text[: text.rfind(b"\n") + 1]
        self._position += len(complete)
        lines = complete.decode(errors="replace").splitlines()
        return [line for line in lines if any(word in line for word in self._WANTED)]
