"""run_inline: one run through the codec both ways, without a database (01 §14)."""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from horsies import ContractCode, Horsies, OutcomeCode, TaskError, TaskResult
from horsies.errors.codes import OperationalErrorCode
from horsies.testing import run_inline, run_inline_async
from tests.core.apps import make_app


class Parcel(BaseModel):
    weight: float
    packed_at: datetime


@pytest.fixture
def app() -> Horsies:
    """Nothing listens at its database."""
    return make_app()


def test_arguments_and_result_travel_as_they_would(app: Horsies) -> None:
    """T-33, T-34, T-38, T-47: bound, encoded and decoded; the function gets its own objects."""
    seen: list[object] = []

    @app.task("pack")
    def pack(parcel: Parcel, *, copies: int = 2) -> TaskResult[list[Parcel], TaskError]:
        seen.append(parcel)
        return TaskResult(ok=[parcel] * copies)

    given = Parcel(weight=1.5, packed_at=datetime(2030, 1, 2, tzinfo=UTC))
    result = run_inline(pack, given)
    assert result.unwrap() == [given, given]
    assert seen == [given]
    assert seen[0] is not given
    assert result.unwrap()[0] is not seen[0]


def test_async_tasks_too(app: Horsies) -> None:
    @app.task("wait")
    async def wait(n: int) -> TaskResult[int, TaskError]:
        await asyncio.sleep(0)
        return TaskResult(ok=n + 1)

    assert run_inline(wait, n=1).unwrap() == 2


async def test_inside_an_event_loop(app: Horsies) -> None:
    """The task has a loop of its own, or none."""

    @app.task("wait")
    async def wait(n: int) -> TaskResult[int, TaskError]:
        await asyncio.sleep(0)
        return TaskResult(ok=n)

    @app.task("block")
    def block() -> TaskResult[int, TaskError]:
        return TaskResult(ok=asyncio.run(asyncio.sleep(0, 3)))

    assert run_inline(wait, 1).unwrap() == 1
    assert (await run_inline_async(wait, 2)).unwrap() == 2
    assert (await run_inline_async(block)).unwrap() == 3


def test_what_a_send_refuses_is_raised(app: Horsies) -> None:
    """T-33, T-34."""

    @app.task("pack")
    def pack(n: int) -> TaskResult[int, TaskError]:
        return TaskResult(ok=n)

    with pytest.raises(ValueError, match="has no parameter 'm'"):
        run_inline(pack, m=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(ValueError, match="argument 'n' cannot be sent as int"):
        run_inline(pack, n="many")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_failures_have_their_codes(app: Horsies) -> None:
    """T-47 to T-51, K-32: mapper, wrong type, no result, and what cannot be stored."""

    @app.task("raises", exception_mapper={KeyError: "NO_SUCH_PARCEL"})
    def raises() -> TaskResult[int, TaskError]:
        raise KeyError("p1")

    @app.task("wrong")
    def wrong() -> TaskResult[int, TaskError]:
        return TaskResult(ok="many")  # type: ignore[arg-type]  # pyright: ignore[reportReturnType]

    @app.task("none")
    def none() -> TaskResult[int, TaskError]:
        return None  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    error = run_inline(raises).unwrap_err()
    assert error.error_code == "NO_SUCH_PARCEL"
    assert isinstance(error.exception, dict)  # as it is read back (T-11)
    assert run_inline(wrong).unwrap_err().error_code is ContractCode.RETURN_TYPE_MISMATCH
    assert run_inline(none).unwrap_err().error_code is OperationalErrorCode.TASK_EXCEPTION


def test_a_run_over_its_time_limit(app: Horsies) -> None:
    """T-53: async tasks are cancelled; a result that comes in spite of that counts."""

    @app.task("hangs", timeout_ms=1000)
    async def hangs() -> TaskResult[int, TaskError]:
        await asyncio.sleep(60)
        return TaskResult(ok=1)

    @app.task("insists", timeout_ms=1000)
    async def insists() -> TaskResult[int, TaskError]:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return TaskResult(ok=1)

    @app.task("slow", timeout_ms=1000)
    def slow() -> TaskResult[int, TaskError]:
        time.sleep(1.05)
        return TaskResult(ok=1)

    error = run_inline(hangs).unwrap_err()
    assert error.error_code is OutcomeCode.TASK_TIMEOUT
    assert '"timeout_ms":1000' in error.model_dump_json()
    assert run_inline(insists).unwrap() == 1
    assert run_inline(slow).unwrap_err().error_code is OutcomeCode.TASK_TIMEOUT
