"""Send errors and the digest of a send (04 section 7)."""

import dataclasses
import json
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from horsies.broker_errors import BrokerErrorCode
from horsies.result import Err, UnwrapError
from horsies.send_errors import (
    TaskSendError,
    TaskSendErrorCode,
    TaskSendPayload,
    compute_enqueue_sha,
    enqueue_sha,
    enqueue_sha_prefix,
    format_utc,
    payload_is_intact,
)

SENT_AT = datetime(2026, 3, 4, 5, 6, 7, 89, UTC)


def payload(**changes: Any) -> TaskSendPayload:
    fields: dict[str, Any] = {
        "task_name": "shop.charge",
        "queue_name": "mail",
        "priority": 50,
        "kwargs_json": '{"card":"4111-secret"}',
        "sent_at": SENT_AT,
        "good_until": None,
        "enqueue_delay_seconds": None,
        "task_options": '{"retry_policy":null,"good_until":null,"timeout_ms":null}',
    }
    digest = compute_enqueue_sha(**fields)
    more: dict[str, Any] = {"args_json": None, "enqueue_sha": digest, "idempotency_key": "key-secret"}
    return TaskSendPayload(**{**fields, **more, **changes})


def test_codes() -> None:
    """04 section 7"""
    assert [code.value for code in TaskSendErrorCode] == [
        "SEND_SUPPRESSED",
        "ASYNC_CONTEXT",
        "VALIDATION_FAILED",
        "ENQUEUE_FAILED",
        "PAYLOAD_MISMATCH",
        "PAYLOAD_TOO_LARGE",
    ]
    assert all(code.value == code.name for code in TaskSendErrorCode)


def test_fields() -> None:
    """04 section 7: names and order of both records; only what is optional has a default."""
    assert [field.name for field in dataclasses.fields(TaskSendError)] == [
        *("code", "message", "retryable", "task_id", "payload", "exception", "broker_code")
    ]
    assert [field.name for field in dataclasses.fields(TaskSendPayload)] == [
        *("task_name", "queue_name", "priority", "args_json", "kwargs_json", "sent_at", "good_until"),
        *("enqueue_delay_seconds", "task_options", "enqueue_sha", "idempotency_key", "retention_class_key"),
    ]
    error = TaskSendError(TaskSendErrorCode.ENQUEUE_FAILED, "m", True, "id", payload(), OSError())
    assert error.broker_code is None


@pytest.mark.parametrize(
    "record", [TaskSendError(TaskSendErrorCode.ENQUEUE_FAILED, "m"), payload()], ids=["error", "payload"]
)
def test_frozen(record: TaskSendError | TaskSendPayload) -> None:
    """04 section 7"""
    for field in dataclasses.fields(record):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, field.name, None)


def test_text_shows_code_retryable_and_id() -> None:
    """E-17: never arguments, wherever they hide: payload, message, cause; nor through an UnwrapError."""
    error = TaskSendError(
        TaskSendErrorCode.ENQUEUE_FAILED,
        "cannot send card='4111-secret'",
        retryable=True,
        task_id="0198-id",
        payload=payload(),
        exception=ValueError("4111-secret"),
        broker_code=BrokerErrorCode.ENQUEUE_FAILED,
    )
    with pytest.raises(UnwrapError) as caught:
        Err(error).unwrap()
    for text in (repr(error), str(error), f"{error}", repr(error.payload), str(caught.value)):
        assert "secret" not in text
    for text in (repr(error), str(error)):
        assert "ENQUEUE_FAILED" in text
        assert "retryable=True" in text
        assert "0198-id" in text


# --- E-18 --------------------------------------------------------------------------------------------------


def reference_utc(moment: datetime) -> str:
    moment = moment.astimezone(UTC)
    date = f"{moment.year:04}-{moment.month:02}-{moment.day:02}"
    return f"{date}T{moment.hour:02}:{moment.minute:02}:{moment.second:02}.{moment.microsecond:06}+00:00"


def reference_sha(
    task_name: str,
    queue_name: str,
    priority: int,
    kwargs_json: str | None,
    sent_at: datetime,
    good_until: datetime | None,
    delay: int | None,
    task_options: str | None,
) -> str:
    content = [
        *(task_name, queue_name, priority, None, kwargs_json, reference_utc(sent_at)),
        *(None if good_until is None else reference_utc(good_until), delay, task_options),
    ]
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
    return sha256(text.encode("utf-8")).hexdigest()


def with_zone(naive: datetime, zone: tzinfo) -> datetime:
    return naive.replace(tzinfo=zone)


# Lone surrogates included: the digest must not fail where the codec is what refuses them.
texts = st.text(alphabet=st.characters(exclude_categories=()))
offsets = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
days = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))
moments = st.builds(with_zone, days, st.one_of(st.just(UTC), offsets))


@given(
    task_name=texts,
    queue_name=texts,
    priority=st.integers(1, 100),
    kwargs_json=st.none() | texts,
    sent_at=moments,
    good_until=st.none() | moments,
    delay=st.none() | st.integers(0, 2**40),
    task_options=st.none() | texts,
)
def test_digest_is_that_of_the_json_array(
    task_name: str,
    queue_name: str,
    priority: int,
    kwargs_json: str | None,
    sent_at: datetime,
    good_until: datetime | None,
    delay: int | None,
    task_options: str | None,
) -> None:
    """E-18: both the whole and the prepared form."""
    expected = reference_sha(
        task_name, queue_name, priority, kwargs_json, sent_at, good_until, delay, task_options
    )
    assert expected == compute_enqueue_sha(
        task_name=task_name,
        queue_name=queue_name,
        priority=priority,
        kwargs_json=kwargs_json,
        sent_at=sent_at,
        good_until=good_until,
        enqueue_delay_seconds=delay,
        task_options=task_options,
    )
    deadline = None if good_until is None else format_utc(good_until)
    prefix = enqueue_sha_prefix(task_name, queue_name, priority)
    assert expected == enqueue_sha(prefix, kwargs_json, format_utc(sent_at), deadline, delay, task_options)


def test_digest_of_a_known_text() -> None:
    """E-18: the text written out by hand."""
    text = (
        '["shop.gr\\u00fc\\u00dfe","mail",50,null,"{\\"a\\":1}","2026-03-04T05:06:07.000089+00:00",'
        '"2026-03-05T00:00:00.000000+00:00",30,null]'
    )
    digest = compute_enqueue_sha(
        task_name="shop.grüße",
        queue_name="mail",
        priority=50,
        kwargs_json='{"a":1}',
        sent_at=SENT_AT,
        good_until=datetime(2026, 3, 5, tzinfo=UTC),
        enqueue_delay_seconds=30,
        task_options=None,
    )
    assert digest == sha256(text.encode("ascii")).hexdigest()
    assert re.fullmatch(r"[0-9a-f]{64}", digest)


@given(moments)
def test_utc_text(moment: datetime) -> None:
    """E-18: `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`, whatever the zone."""
    text = format_utc(moment)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", text)
    assert text == reference_utc(moment)
    assert datetime.fromisoformat(text) == moment


def test_utc_text_of_a_naive_datetime() -> None:
    with pytest.raises(ValueError, match="aware"):
        format_utc(datetime(2026, 1, 1))


# --- E-20 --------------------------------------------------------------------------------------------------


def test_payload_is_intact() -> None:
    """E-20: what the digest says of an untouched payload."""
    assert payload_is_intact(payload())
    later = payload(good_until=SENT_AT + timedelta(days=1), enqueue_delay_seconds=5)
    assert not payload_is_intact(later)


@pytest.mark.parametrize(
    "change",
    [
        {"task_name": "shop.refund"},
        {"queue_name": "bulk"},
        {"priority": 51},
        {"args_json": "[]"},
        {"kwargs_json": '{"card":"4112"}'},
        {"kwargs_json": None},
        {"sent_at": SENT_AT + timedelta(microseconds=1)},
        {"good_until": SENT_AT},
        {"enqueue_delay_seconds": 0},
        {"task_options": None},
        {"enqueue_sha": "0" * 64},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_covered_field_matters(change: dict[str, object]) -> None:
    """E-18, E-20"""
    assert not payload_is_intact(payload(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"idempotency_key": None},
        {"retention_class_key": "long"},
        {"sent_at": SENT_AT.astimezone(timezone(timedelta(hours=2)))},
    ],
    ids=["idempotency_key", "retention_class_key", "same instant"],
)
def test_what_the_digest_does_not_cover(change: dict[str, object]) -> None:
    """E-18: neither key nor class; and the zone an instant is written in is no difference."""
    assert payload_is_intact(payload(**change))
