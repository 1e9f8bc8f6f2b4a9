"""Programs under a guard: their output, their end, and that they never outlive their starter (C-070, C-073)."""

import os
import signal
import sys
from collections.abc import Iterator

import psutil
import pytest

from horsies_cli.children import Child
from tests.helpers import child_environment, eventually, running

_PATIENT = """
import contextlib, os, signal, subprocess, sys
def end(*_):
    if not STUBBORN:
        sys.exit(5)
    with contextlib.suppress(OSError):
        os.write(1, b"asked\\n")
signal.signal(signal.SIGTERM, end)
helper = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()", "MARK"])
print("ready", helper.pid, flush=True)
while True:
    signal.pause()
"""

_STARTER = """
import os, signal, sys
from horsies_cli.children import Child
child = Child("it", [sys.executable, "-c", *sys.argv[1:]], os.environ, lambda *line: print(*line, flush=True))
signal.pause()
"""


class _Output:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    def __call__(self, name: str, kind: str, text: str) -> None:
        self.lines.append((name, kind, text))

    def number_after(self, word: str) -> int:
        """The number in the first line that begins with the word."""
        found = eventually(lambda: [text for _, _, text in self.lines if text.startswith(word)])
        return int(found[0].split()[1])


@pytest.fixture
def output() -> _Output:
    return _Output()


@pytest.fixture
def children() -> Iterator[list[Child]]:
    started: list[Child] = []
    yield started
    for child in started:
        child.kill()


def _start(children: list[Child], output: _Output, code: str, *arguments: str) -> Child:
    child = Child("it", [sys.executable, "-c", code, *arguments], child_environment(), output)
    children.append(child)
    return child


def _patient(*, stubborn: bool) -> str:
    return _PATIENT.replace("STUBBORN", str(stubborn))


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_every_line_arrives_with_its_origin(children: list[Child], output: _Output) -> None:
    code = r"import sys; print('one'); sys.stderr.buffer.write(b'two\xff\n'); sys.stdout.write('no end'); sys.exit(4)"
    child = _start(children, output, code)
    assert child.wait(20)
    child.close()
    assert child.status == 4
    assert sorted(output.lines) == [
        ("it", "stderr", "two�"),
        ("it", "stdout", "no end"),
        ("it", "stdout", "one"),
    ]


def test_asked_to_end_it_gets_sigterm(children: list[Child], output: _Output) -> None:
    child = _start(children, output, _patient(stubborn=False))
    helper = output.number_after("ready")
    assert child.status is None
    child.ask_to_end()
    assert child.wait(20)
    assert child.status == 5
    eventually(lambda: _gone(helper))  # what it left behind ends with it


def test_killed_it_goes_with_all_its_processes(children: list[Child], output: _Output) -> None:
    child = _start(children, output, _patient(stubborn=True))
    helper = output.number_after("ready")
    child.ask_to_end()
    eventually(lambda: ("it", "stdout", "asked") in output.lines)
    assert child.status is None
    child.kill()
    assert child.status == 128 + signal.SIGKILL
    eventually(lambda: _gone(helper))


@pytest.mark.parametrize("stubborn", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_killed_starter_takes_everything_with_it(stubborn: bool) -> None:
    # C-073: also after SIGKILL; a program that does not care about SIGTERM is killed after 8 s.
    with running([sys.executable, "-c", _STARTER, _patient(stubborn=stubborn)]) as starter:
        starter.wait_for("ready")
        family = psutil.Process(starter.pid).children(recursive=True)
        assert len(family) == 3, "guard, program and the program's helper"
        starter.send_signal(signal.SIGKILL)
        eventually(lambda: all(_gone(process.pid) for process in family), timeout=20)


def test_the_guard_itself_is_not_stopped_by_the_terminal(children: list[Child], output: _Output) -> None:
    child = _start(children, output, _patient(stubborn=False))
    helper = output.number_after("ready")
    program = psutil.Process(helper).parent()
    assert program is not None
    guard = program.parent()
    assert guard is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(guard.pid, number)
    child.ask_to_end()
    assert child.wait(20)
    assert child.status == 5, "it ended by its own decision, its guard was still there to tell"
