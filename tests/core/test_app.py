"""The application object (02 sections 11 and 12): tasks, modules, hooks, broker, results, check."""

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from horsies import (
    BrokerErrorCode,
    BrokerResult,
    ConfigurationError,
    Err,
    ErrorCode,
    Horsies,
    HorsiesError,
    Ok,
    OutcomeCode,
    PostgresConfig,
    RetrievalCode,
    RetryPolicy,
    TaskError,
    TaskResult,
    TaskSendErrorCode,
)
from tests.core.apps import UNREACHABLE, make_app, make_queue_app
from tests.core.task_rows import TaskRows

ABSENT = "0190a5b0-0000-7000-8000-000000000000"


def pack(weight: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=weight)


@pytest.fixture
def rows(database_url: str) -> Iterator[TaskRows]:
    found = TaskRows(database_url)
    yield found
    found.close()


@pytest.fixture
def app(database_url: str) -> Iterator[Horsies]:
    found = make_app(database_url)
    found.task("pack", pack)
    yield found
    found.get_broker().close()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory whose modules can be imported, and are forgotten afterwards."""
    known = set(sys.modules)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


# -- building, queues, tasks


def test_building_opens_nothing() -> None:
    """02 section 11."""
    app = make_app(UNREACHABLE)
    assert app.config.broker.schema_name == "horsies"
    assert app.list_tasks() == []
    assert dict(app.tasks) == {}
    app.get_broker()


def test_anything_but_a_configuration_is_refused() -> None:
    make: Any = Horsies
    with pytest.raises(ConfigurationError, match="AppConfig"):
        make({"broker": UNREACHABLE})


def test_the_queues_there_are() -> None:
    """02 section 11."""
    assert make_app().get_valid_queue_names() == ["default"]
    assert make_queue_app().get_valid_queue_names() == ["mail", "bulk"]


# -- task modules (CF-37 to CF-39)


def test_discovering_imports_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """CF-37."""
    app = make_app()
    assert app.get_discovered_task_modules() == []
    with caplog.at_level(logging.WARNING, "horsies.app"):
        app.discover_tasks(["no.such.module", "./nowhere.py"])
        assert not caplog.records
        found = app.get_discovered_task_modules()
        assert found == ["no.such.module", "./nowhere.py"]
        found.clear()
        assert len(app.get_discovered_task_modules()) == 2
        app.discover_tasks(["other"])
    assert app.get_discovered_task_modules() == ["other"]
    assert len(caplog.records) == 1


def test_importing_what_was_discovered(project: Path) -> None:
    """CF-38."""
    (project / "app_test_one.py").write_text("NUMBER = 1\n")
    (project / "app_test_two.py").write_text("NUMBER = 2\n")
    app = make_app()
    app.discover_tasks(["app_test_one"])
    assert [module.NUMBER for module in app.import_task_modules()] == [1]
    assert [module.NUMBER for module in app.import_task_modules(["app_test_two.py", "app_test_one"])] == [
        2,
        1,
    ]


def test_import_errors_propagate(project: Path) -> None:
    """CF-38."""
    (project / "app_test_bad.py").write_text("1 / 0\n")
    app = make_app()
    with pytest.raises(ZeroDivisionError):
        app.import_task_modules(["app_test_bad"])
    with pytest.raises(ConfigurationError) as caught:
        app.import_task_modules(["app_test_missing"])
    assert caught.value.code is ErrorCode.CLI_INVALID_ARGS


def test_globs_are_expanded(project: Path) -> None:
    """CF-39."""
    for name in ("tasks/a.py", "tasks/deep/b.py", "tasks/test_c.py"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    found = make_app().expand_module_globs(["tasks/**/*.py", "shop.tasks"])
    real = project.resolve()
    assert found == [str(real / "tasks/a.py"), str(real / "tasks/deep/b.py"), "shop.tasks"]
    assert Horsies.expand_module_globs(["tasks/*.py"], exclude=["*/a.py"]) == [str(real / "tasks/test_c.py")]


# -- hooks (CF-41)


def test_child_hooks_are_kept_in_order() -> None:
    """CF-41, R-037."""
    app = make_app()

    @app.on_child_process_start
    def second() -> None: ...

    def first() -> None: ...

    assert app.on_child_process_start(first) is first
    app.on_child_process_start(second)
    assert app.get_child_process_start_hooks() == [second, first]
    app.get_child_process_start_hooks().clear()
    assert len(app.get_child_process_start_hooks()) == 2


async def later() -> None: ...


class LaterCallable:
    async def __call__(self) -> None: ...


@pytest.mark.parametrize("hook", [None, 5, "hook", later, LaterCallable()])
def test_bad_child_hooks(hook: Any) -> None:
    """CF-41."""
    app = make_app()
    with pytest.raises(ConfigurationError) as caught:
        app.on_child_process_start(hook)
    assert caught.value.code is ErrorCode.CONFIG_INVALID_CHILD_HOOK
    assert app.get_child_process_start_hooks() == []


# -- the broker (CF-40)


def test_one_broker_under_threads() -> None:
    """CF-40."""
    app = make_app()
    start, found = threading.Barrier(8), list[Any]()

    def ask() -> None:
        start.wait()
        found.append(app.get_broker())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    assert make_app().get_broker() is not found[0]


def test_a_broker_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """CF-40."""
    monkeypatch.setattr("horsies.app.Broker", None)
    with pytest.raises(HorsiesError) as caught:
        make_app().get_broker()
    assert caught.value.code is ErrorCode.BROKER_INIT_FAILED


# -- results (CF-43)


def send(app: Horsies) -> str:
    task: Any = app.tasks["pack"]
    task_id: str = task.send(5).unwrap().task_id
    return task_id


def ended(app: Horsies, rows: TaskRows, status: str = "COMPLETED", **columns: Any) -> str:
    task_id = send(app)
    rows.start(task_id)
    rows.end(task_id, status, **columns)
    return task_id


def results_of(app: Horsies, task_id: str, timeout_ms: int | None = None) -> list[BrokerResult[Any]]:
    """By both ways."""
    return [app.get_result(task_id, timeout_ms), asyncio.run(app.get_result_async(task_id, timeout_ms))]


def error_code_in(found: BrokerResult[Any]) -> Any:
    assert isinstance(found, Ok)
    result: TaskResult[Any, TaskError] = found.ok_value
    return result.err_value.error_code


def broker_code_in(found: BrokerResult[Any]) -> BrokerErrorCode:
    assert isinstance(found, Err)
    return found.err_value.code


def test_a_decoded_result(app: Horsies, rows: TaskRows) -> None:
    """CF-43."""
    task_id = ended(app, rows, result='{"__h_task_result__":true,"ok":5,"err":null}')
    expected: TaskResult[int, TaskError] = TaskResult(ok=5)
    assert results_of(app, task_id) == [Ok(expected)] * 2


def test_a_tasks_error_needs_no_registration(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """CF-43, K-31."""
    task_id = send(app)
    rows.start(task_id)
    rows.fail(task_id, TaskError(error_code="BUSY"))
    other = make_app(database_url)
    expected: TaskResult[int, TaskError] = TaskResult(err=TaskError(error_code="BUSY"))
    assert results_of(other, task_id) == [Ok(expected)] * 2
    other.get_broker().close()


def test_results_that_are_not_there(app: Horsies, rows: TaskRows) -> None:
    """CF-43, M-005."""
    waiting = send(app)
    cancelled, empty = ended(app, rows, "CANCELLED"), ended(app, rows, "FAILED")
    for task_id, code in [
        (ABSENT, RetrievalCode.TASK_NOT_FOUND),
        ("no id", RetrievalCode.TASK_NOT_FOUND),
        (waiting, RetrievalCode.WAIT_TIMEOUT),
        (cancelled, OutcomeCode.TASK_CANCELLED),
        (empty, RetrievalCode.RESULT_NOT_AVAILABLE),
    ]:
        assert [error_code_in(found) for found in results_of(app, task_id, 1)] == [code] * 2


def test_a_success_of_an_unregistered_task(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """CF-43, K-43."""
    task_id = ended(app, rows, result='{"__h_task_result__":true,"ok":5,"err":null}')
    other = make_app(database_url)
    for found in results_of(other, task_id):
        assert broker_code_in(found) is BrokerErrorCode.NO_TYPE_AVAILABLE
    other.get_broker().close()


@pytest.mark.parametrize("stored", ["no json", '{"__h_task_result__":true,"ok":"five","err":null}'])
def test_an_unreadable_result(app: Horsies, rows: TaskRows, stored: str) -> None:
    """CF-43, K-42."""
    for found in results_of(app, ended(app, rows, result=stored)):
        assert broker_code_in(found) is BrokerErrorCode.INVALID_JSON_PAYLOAD


def test_results_without_a_database() -> None:
    """CF-43."""
    for found in results_of(make_app(), ABSENT):
        assert isinstance(found, Err)
        assert found.err_value.code is BrokerErrorCode.TASK_INFO_QUERY_FAILED
        assert found.err_value.retryable is True


def test_raw_results(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """02 section 11: no decoding, no registration needed."""
    stored = '{"__h_task_result__":true,"ok":"five","err":null}'
    task_id = ended(app, rows, result=stored)
    other = make_app(database_url)
    assert other.get_raw_result(task_id) == Ok(json.loads(stored))
    assert asyncio.run(other.get_raw_result_async(task_id)) == Ok(json.loads(stored))
    assert other.get_raw_result(ABSENT) == Ok(None)
    assert other.get_raw_result(send(app), 1) == Ok(None)
    broken = other.get_raw_result(ended(app, rows, result="no json"))
    assert broker_code_in(broken) is BrokerErrorCode.INVALID_JSON_PAYLOAD
    assert broker_code_in(make_app().get_raw_result(ABSENT)) is BrokerErrorCode.TASK_INFO_QUERY_FAILED
    other.get_broker().close()


def test_task_records(app: Horsies, rows: TaskRows) -> None:
    """02 section 11, T-79 to T-81."""
    stored = '{"__h_task_result__":true,"ok":5,"err":null}'
    task_id = ended(app, rows, result=stored, failed_reason="because")
    info = app.get_task_info(
        task_id, include_result=True, include_failed_reason=True, include_attempts=True
    ).unwrap()
    assert info is not None
    assert (info.task_name, info.result, info.failed_reason) == ("pack", TaskResult(ok=5), "because")
    assert info.attempts is not None
    assert len(info.attempts) == 1
    plain = asyncio.run(app.get_task_info_async(task_id)).unwrap()
    assert plain is not None
    assert (plain.raw_result, plain.failed_reason, plain.attempts) == (None, None, None)
    assert app.get_task_info(ABSENT) == Ok(None)
    assert app.get_task_info("no id") == Ok(None)


# -- check (CF-44)


def codes_of(errors: list[HorsiesError]) -> list[ErrorCode | None]:
    return [error.code for error in errors]


def test_all_is_well() -> None:
    """CF-44: without live=True no database is asked."""
    app = make_app()
    app.task("pack", pack)
    assert app.check() == []


def test_a_configuration_changed_past_its_checks() -> None:
    """CF-44 phase 1."""
    app = make_queue_app()
    assert app.config.custom_queues is not None
    app.config.custom_queues.append(app.config.custom_queues[0])
    assert codes_of(app.check()) == [ErrorCode.CONFIG_INVALID_QUEUE_MODE]


def test_modules_that_cannot_be_imported(project: Path) -> None:
    """CF-44 phase 2: every one of them is reported."""
    (project / "check_raises.py").write_text("raise RuntimeError('no')\n")
    (project / "check_fine.py").write_text("")
    (project / "check_task.py").write_text(
        "from tests.core.apps import make_app\n@make_app().task('t')\ndef t() -> int:\n    return 1\n"
    )
    app = make_app()
    app.discover_tasks(["check_missing", "check_raises", "check_fine", "check_task.py", "nowhere.py"])
    assert codes_of(app.check()) == [
        ErrorCode.CLI_INVALID_ARGS,
        ErrorCode.MODULE_EXEC_ERROR,
        ErrorCode.TASK_INVALID_RETURN_TYPE,
        ErrorCode.CLI_INVALID_ARGS,
    ]


def test_sends_are_suppressed_meanwhile(project: Path) -> None:
    """CF-45, CF-46: also restored after an error."""
    (project / "check_sends.py").write_text(
        "from horsies import TaskError, TaskResult\n"
        "from tests.core.apps import make_app\n"
        "@make_app().task('pack')\n"
        "def task(weight: int) -> TaskResult[int, TaskError]:\n"
        "    return TaskResult(ok=weight)\n"
        "sent = task.send(5)\n"
        "assert task(5).is_ok()\n"
        "raise RuntimeError(sent.err_value.code)\n"
    )
    app = make_app()
    task = app.task("pack", pack)
    app.discover_tasks(["check_sends"])
    (error,) = app.check()
    assert "SEND_SUPPRESSED" in error.message
    assert task.send(5).unwrap_err().code is TaskSendErrorCode.ENQUEUE_FAILED


def test_reserved_codes_of_the_app() -> None:
    """CF-44 phase 3.5, T-50."""
    mapper: Any = {ValueError: "TASK_TIMEOUT", KeyError: "MINE"}
    app = make_app(exception_mapper=mapper, default_unhandled_error_code="WORKER_CRASHED")
    errors = app.check()
    assert codes_of(errors) == [ErrorCode.CHECK_RESERVED_CODE_COLLISION] * 2
    assert "ValueError" in errors[0].message


def test_reserved_codes_of_a_task() -> None:
    """CF-44 phase 3.5, T-50: UNHANDLED_EXCEPTION as default code is exempt."""
    app = make_app()
    app.task("a", pack, exception_mapper={ValueError: "TASK_TIMEOUT"})
    app.task("b", pack, default_unhandled_error_code="TASK_EXPIRED")
    app.task("c", pack, default_unhandled_error_code="UNHANDLED_EXCEPTION")
    errors = app.check()
    assert codes_of(errors) == [ErrorCode.CHECK_RESERVED_CODE_COLLISION] * 2
    assert "'a'" in errors[0].message
    assert "'b'" in errors[1].message


def test_retry_metadata_changed_past_its_checks() -> None:
    """CF-44 phase 3.5."""
    app = make_app()
    policy = RetryPolicy.fixed([5], auto_retry_for=["BUSY"])
    app.task("fine", pack, retry_policy=policy)
    assert app.check() == []
    broken = RetryPolicy.model_construct(max_retries=3, intervals=[5], auto_retry_for=["BUSY"])
    app.task("broken", pack, retry_policy=broken)
    (error,) = app.check()
    assert error.code is ErrorCode.TASK_INVALID_OPTIONS
    assert "'broken'" in error.message


def test_a_mapper_entry_that_appeared_later() -> None:
    """CF-44 phases 1 and 3.5: the app's mapper is a dict that user code can reach."""
    app = make_app(exception_mapper={ValueError: "MINE"})
    mapper: Any = app.config.exception_mapper
    mapper[int] = "OTHER"
    assert codes_of(app.check()) == [ErrorCode.CONFIG_INVALID_EXCEPTION_MAPPER]


def test_the_first_phase_with_errors_is_the_last(project: Path) -> None:
    """CF-44."""
    app = make_app(default_unhandled_error_code="WORKER_CRASHED")
    app.discover_tasks(["check_missing_module"])
    assert codes_of(app.check(live=True)) == [ErrorCode.CLI_INVALID_ARGS]
    app.discover_tasks([])
    assert codes_of(app.check(live=True)) == [ErrorCode.CHECK_RESERVED_CODE_COLLISION]


def test_a_live_database(app: Horsies, rows: TaskRows) -> None:
    """CF-44 phase 4: nothing is written, and no connection stays."""
    assert app.check(live=True) == []
    assert rows.count() == 0


def test_a_live_check_needs_no_schema(empty_database_url: str) -> None:
    """CF-44 phase 4: it asks whether the database answers, and makes nothing."""
    assert make_app(empty_database_url).check(live=True) == []
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select to_regnamespace('horsies')").fetchone() == (None,)


def test_a_database_out_of_reach() -> None:
    """CF-44 phase 4: the URL is shown without its password."""
    (error,) = make_app().check(live=True)
    assert error.code is ErrorCode.BROKER_INIT_FAILED
    assert "127.0.0.1:1" in str(error)
    assert "secret" not in str(error)


def test_each_url_is_asked(database_url: str) -> None:
    """CF-44 phase 4."""
    broker = PostgresConfig(database_url=database_url, session_database_url=UNREACHABLE, pool_timeout=5)
    (error,) = make_app(broker=broker).check(live=True)
    assert error.code is ErrorCode.BROKER_INIT_FAILED
    assert "session_database_url" in error.message
    broker = PostgresConfig(
        database_url=UNREACHABLE, session_database_url=UNREACHABLE.replace(":1/", ":2/"), pool_timeout=5
    )
    assert codes_of(make_app(broker=broker).check(live=True)) == [ErrorCode.BROKER_INIT_FAILED] * 2


def test_a_session_url_that_hears_nothing(
    database_url: str, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CF-44 phase 4: as behind a pooler, LISTEN succeeds and nothing ever comes; here it is another database."""
    monkeypatch.setattr("horsies.live_check.NOTICE_LIMIT_S", 0.2)
    broker = PostgresConfig(database_url=database_url, session_database_url=empty_database_url)
    (error,) = make_app(broker=broker).check(live=True)
    assert error.code is ErrorCode.BROKER_INVALID_URL
    assert "session_database_url" in error.message


def test_a_session_url_that_hears(database_url: str) -> None:
    """CF-44 phase 4."""
    broker = PostgresConfig(
        database_url=database_url,
        session_database_url=database_url.replace("postgresql://", "postgres://"),
    )
    assert make_app(broker=broker).check(live=True) == []
