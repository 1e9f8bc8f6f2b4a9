"""Waiting for conditions, and programs run as real processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_POLL_SECONDS = 0.01


def eventually[T](predicate: Callable[[], T], timeout: float = 10) -> T:
    """The first true value of `predicate`, asked again and again; fails after `timeout` seconds.

    An AssertionError raised by the predicate counts as "not yet", and is raised when the time is over.
    """
    deadline = time.monotonic() + timeout
    while True:
        failure: AssertionError | None = None
        value: T | None = None
        try:
            value = predicate()
            if value:
                return value
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            if failure is not None:
                raise failure
            raise AssertionError(f"not within {timeout} s: {predicate}, last value {value!r}")
        time.sleep(_POLL_SECONDS)


class RunningProcess:
    """A program in a process group of its own, with its output collected while it runs."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str | None] | None = None,
        directory: Path | None = None,
    ) -> None:
        """Start it.

        Args:
            command: the program and its arguments.
            environment: changes to this process's environment; None as a value removes a variable.
            directory: its working directory.
        """
        self.command = list(command)
        self._process = subprocess.Popen(
            self.command,
            env=child_environment(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._parts: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._threads = [
            threading.Thread(target=self._collect, args=(name, stream), daemon=True)
            for name, stream in (("stdout", self._process.stdout), ("stderr", self._process.stderr))
            if stream is not None
        ]
        for thread in self._threads:
            thread.start()

    def _collect(self, name: str, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._parts[name].append(line)

    @property
    def pid(self) -> int:
        """The process id; also of its process group."""
        return self._process.pid

    @property
    def stdout(self) -> str:
        """What it wrote to its standard output so far."""
        return "".join(self._parts["stdout"])

    @property
    def stderr(self) -> str:
        """What it wrote to its standard error so far."""
        return "".join(self._parts["stderr"])

    @property
    def output(self) -> str:
        """Both streams, for messages of failing tests."""
        return f"$ {' '.join(self.command)}\n{self.stdout}\n--- stderr\n{self.stderr}"

    @property
    def returncode(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.poll()

    def wait_for(self, text: str, timeout: float = 45) -> None:
        """Until `text` was written to one of the streams; fails at once if the process ends without it."""

        def seen() -> bool:
            return text in self.stdout or text in self.stderr

        def seen_or_ended() -> bool:
            return seen() or (self.returncode is not None and not any(t.is_alive() for t in self._threads))

        try:
            eventually(seen_or_ended, timeout)
        except AssertionError:
            raise AssertionError(f"{text!r} not written within {timeout} s by {self.output}") from None
        assert seen(), f"ended with {self.returncode} without writing {text!r}: {self.output}"

    def send_signal(self, number: signal.Signals) -> None:
        """To the process alone, not to its children."""
        self._process.send_signal(number)

    def wait(self, timeout: float = 30) -> int:
        """Its exit status, once it ended by itself and its output is complete; fails after `timeout` s."""
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s: {self.output}") from None
        for thread in self._threads:
            thread.join(timeout)
        return status

    def stop(self, timeout: float = 30) -> int:
        """SIGTERM, then wait for its orderly end; the exit status."""
        if self.returncode is None:
            self.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def end(self) -> None:
        """Whatever it takes: the whole process group is gone afterwards."""
        if self.returncode is None:
            self.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(15)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(15)
        for thread in self._threads:
            thread.join(15)


@contextmanager
def running(
    command: Sequence[str],
    *,
    environment: Mapping[str, str | None] | None = None,
    directory: Path | None = None,
) -> Generator[RunningProcess]:
    """A program for the time of the block; its whole process group is ended with the block."""
    process = RunningProcess(command, environment=environment, directory=directory)
    try:
        yield process
    finally:
        process.end()


@contextmanager
def running_module(
    module: str,
    *arguments: str,
    environment: Mapping[str, str | None] | None = None,
    directory: Path | None = None,
) -> Generator[RunningProcess]:
    """`python -m module arguments` for the time of the block (horsies_worker, horsies_scheduler ...)."""
    command = [sys.executable, "-m", module, *arguments]
    with running(command, environment=environment, directory=directory) as process:
        yield process


def run_module(
    module: str,
    *arguments: str,
    environment: Mapping[str, str | None] | None = None,
    directory: Path | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """`python -m module arguments` to its end; its status and output, whatever they are."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=child_environment(environment),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def child_environment(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment for a child, without the user's PG* and horsies variables."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PG")
        and name
        not in ("HORSIES_APP", "HORSIES_DATABASE_URL", "DATABASE_URL", "HORSIES_DEV", "HORSIES_FORCE_COLOR")
    }
    for name, value in (changes or {}).items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = value
    return kept | {"PYTHONUNBUFFERED": "1"}
