"""The switch behind SEND_SUPPRESSED (CF-45, CF-46, R-007)."""

import os
import subprocess
import sys
import threading

import pytest

from horsies.suppression import sends_suppressed, suppress_sends


@pytest.fixture(autouse=True)
def _no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HORSIES_SUPPRESS_SENDS", raising=False)


def test_sends_are_suppressed_inside_the_block_only() -> None:
    """CF-45."""
    assert not sends_suppressed()
    with suppress_sends():
        assert sends_suppressed()
    assert not sends_suppressed()


def test_blocks_nest() -> None:
    """CF-46, R-007: the previous setting is restored, also the setting "suppressed"."""
    with suppress_sends():
        with suppress_sends():
            assert sends_suppressed()
        assert sends_suppressed()
    assert not sends_suppressed()


def test_the_switch_is_restored_when_an_import_raises() -> None:
    """CF-46."""
    with pytest.raises(ImportError), suppress_sends():
        raise ImportError("broken module")
    assert not sends_suppressed()


def test_the_switch_belongs_to_the_process_and_not_to_a_thread() -> None:
    """CF-45."""
    seen: list[bool] = []
    with suppress_sends():
        thread = threading.Thread(target=lambda: seen.append(sends_suppressed()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_overlapping_blocks_of_threads_end_in_any_order() -> None:
    """CF-46."""
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with suppress_sends():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with suppress_sends():
        thread.start()
        assert entered.wait(10)
    assert sends_suppressed()
    leave.set()
    thread.join()
    assert not sends_suppressed()


@pytest.mark.parametrize(("value", "suppressed"), [("1", True), ("0", False), ("", False), ("true", False)])
def test_the_environment_is_read_at_each_call(
    monkeypatch: pytest.MonkeyPatch, value: str, suppressed: bool
) -> None:
    """CF-45: only the value 1 counts."""
    monkeypatch.setenv("HORSIES_SUPPRESS_SENDS", value)
    assert sends_suppressed() is suppressed
    del os.environ["HORSIES_SUPPRESS_SENDS"]
    assert not sends_suppressed()
    os.environb[b"HORSIES_SUPPRESS_SENDS"] = value.encode()
    assert sends_suppressed() is suppressed


def test_the_environment_of_a_new_process_counts() -> None:
    """CF-45."""
    program = "from horsies.suppression import sends_suppressed; print(sends_suppressed())"
    environment = {**os.environ, "HORSIES_SUPPRESS_SENDS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"
