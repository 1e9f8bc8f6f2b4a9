"""One task sent, run and returned: what has to work on every Python that is supported."""

import sys
from typing import Any

from tests.acceptance.conftest import StartWorker


def test_a_task_is_sent_run_and_returned(basic: Any, start_worker: StartWorker) -> None:
    assert sys.version_info >= (3, 12)
    with start_worker("--processes", "1") as worker:
        assert basic.noop.send(41).unwrap().get(20_000).ok_value == 41
        assert basic.anoop.send(42).unwrap().get(20_000).ok_value == 42
        assert basic.system_exit.send().unwrap().get(20_000).is_err()
        assert worker.stop() == 0
