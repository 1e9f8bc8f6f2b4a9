"""`horsies check`, run as a user runs it: apps with many mistakes, answers for people and for programs (09 §4)."""

import json
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import psycopg
import pytest

from horsies import ErrorCode, PostgresConfig
from horsies.db.migrate import SchemaState, SchemaStatus
from horsies.live_check import ANSWER_LIMIT_S, schema_warnings, server_warnings
from tests.core.apps import make_app
from tests.helpers import run_module, running_module

INSTANCE = """\
import os
from horsies import AppConfig, Horsies, PostgresConfig, TaskError, TaskResult

URL = os.environ.get("CHECK_URL", "postgresql://app:secret@127.0.0.1:1/jobs")
app = Horsies(AppConfig(broker=PostgresConfig(database_url=URL, pool_timeout=5)))


@app.task("load")
def load(day: str, limit: int = 10) -> TaskResult[list[int], TaskError]:
    return TaskResult(ok=[1])


@app.task("total")
def total(rows: TaskResult[list[int], TaskError], label: str = "sum") -> TaskResult[int, TaskError]:
    return TaskResult(ok=1)


app.discover_tasks(%s)
"""

TEN_WORKFLOWS = """\
from instance import load, total
from horsies import SubWorkflowNode, TaskNode, WorkflowDefinition


class Keyless(WorkflowDefinition[int]):  # HRS-016
    name = "keyless"
    only = TaskNode(fn=load, args=("2024-01-01",))


class Misnamed(WorkflowDefinition[int]):
    name = "misnamed"
    definition_key = "ten.misnamed"
    first = TaskNode(fn=load, args=("2024-01-01",), node_id="the first")  # HRS-003


class Circle(WorkflowDefinition[list[int]]):  # HRS-007
    name = "circle"
    definition_key = "ten.circle"
    start = TaskNode(fn=load, args=("2024-01-01",))
    left = TaskNode(fn=load, args=("2024-01-01",), waits_for=[start])
    right = TaskNode(fn=load, args=("2024-01-01",), waits_for=[left])
    left.waits_for.append(right)

    class Meta:
        output = "start"


class Typo(WorkflowDefinition[list[int]]):
    name = "typo"
    definition_key = "ten.typo"
    only = TaskNode(fn=load, kwargs={"day": "2024-01-01", "limt": 3})  # HRS-019

    class Meta:
        output = "only"


class Unfed(WorkflowDefinition[int]):
    name = "unfed"
    definition_key = "ten.unfed"
    rows = TaskNode(fn=load, args=("2024-01-01",))
    sum = TaskNode(fn=total, waits_for=[rows])  # HRS-020

    class Meta:
        output = "sum"


class Unordered(WorkflowDefinition[int]):
    name = "unordered"
    definition_key = "ten.unordered"
    rows = TaskNode(fn=load, args=("2024-01-01",))
    sum = TaskNode(fn=total, args_from={"rows": rows})  # HRS-008

    class Meta:
        output = "sum"


class Misfit(WorkflowDefinition[int]):
    name = "misfit"
    definition_key = "ten.misfit"
    rows = TaskNode(fn=load, args=("2024-01-01",))
    sum = TaskNode(fn=total, waits_for=[rows], args_from={"rows": rows})
    again = TaskNode(fn=total, waits_for=[sum], args_from={"rows": sum})  # HRS-024

    class Meta:
        output = "again"


class Quorum(WorkflowDefinition[list[int]]):
    name = "quorum"
    definition_key = "ten.quorum"
    rows = TaskNode(fn=load, args=("2024-01-01",))
    end = TaskNode(  # HRS-013
        fn=load,
        args=("2024-01-01",),
        waits_for=[rows],
        join="quorum",
    )

    class Meta:
        output = "end"


class Outputless(WorkflowDefinition[int]):  # HRS-025
    name = "outputless"
    definition_key = "ten.outputless"
    rows = TaskNode(fn=load, args=("2024-01-01",))


class Parent(WorkflowDefinition[int]):
    name = "parent"
    definition_key = "ten.parent"
    child = SubWorkflowNode(workflow_def=Outputless, kwargs={"day": "2024-01-01"})  # HRS-022

    class Meta:
        output = "child"
"""

HELP = [
    "set it in the class body, as definition_key = 'workflows.keyless.v1': workers find the class by it,",
    "did you mean 'limit'?",
    "give a static value, kwargs={'rows': ...}, or a node's result, waits_for=[node], args_from={'rows': node}",
    "args_from hands a result over, waits_for gives the order: add the node there too",
    "results arrive whole, errors included: declare the parameter as rows: TaskResult[int, TaskError]",
    "say how many have to succeed: min_success=2",
    "name the node that gives it, in quotes: class Meta: output = 'node'",
]
"""What some of the errors of those workflows advise."""

TASK = "from instance import app\nfrom horsies import TaskError, TaskResult, TaskNode\n"
TEN_MODULES = {
    "no_return": f"{TASK}@app.task('a')  # HRS-100\ndef a():\n    pass\n",
    "bare_return": f"{TASK}@app.task('b')  # HRS-101\ndef b() -> int:\n    return 1\n",
    "option": f"{TASK}@app.task('c', timeout_ms=5)  # HRS-102\n"
    "def c() -> TaskResult[int, TaskError]:\n    return TaskResult(ok=1)\n",
    "mailing": f"{TASK}@app.task('d', queue_name='mail')  # HRS-200\n"
    "def d() -> TaskResult[int, TaskError]:\n    return TaskResult(ok=1)\n",
    "parameter": f"{TASK}@app.task('e')  # HRS-105\n"
    "def e(x) -> TaskResult[int, TaskError]:\n    return TaskResult(ok=1)\n",
    "twice": f"{TASK}@app.task('load')  # HRS-301\n"
    "def f() -> TaskResult[int, TaskError]:\n    return TaskResult(ok=1)\n",
    "meta": f"{TASK}from horsies import WorkflowDefinition\nfrom instance import load\n"
    "class W(WorkflowDefinition[int]):\n    end = TaskNode(fn=load)\n"
    "    class Meta:\n        output = end  # HRS-210\n",
    "unfinished": "def f(:  # HRS-210\n",
    "absent": "import nowhere_to_be_found  # HRS-210\n",
    "spec": f"{TASK}app.workflow('w', [])  # HRS-002\n",
}

type Write = Callable[..., None]
type Check = Callable[..., CompletedProcess[str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Makes a project: `instance.py`, which lists the given modules, and them."""

    def write(modules: dict[str, str], listed: list[str] | None = None) -> None:
        (tmp_path / "pyproject.toml").touch()
        (tmp_path / "instance.py").write_text(
            INSTANCE % (["instance", *modules] if listed is None else listed)
        )
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)

    return write


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """The real command in that project."""

    def check(*arguments: str, **environment: str | None) -> CompletedProcess[str]:
        return run_module(
            "horsies_cli",
            "check",
            *arguments,
            environment={"COLUMNS": "300", **environment},
            directory=tmp_path,
        )

    return check


def marked(folder: Path, modules: dict[str, str]) -> Iterator[tuple[str, str, int]]:
    """Code, file and line of each mistake, as its line says."""
    for name, text in modules.items():
        for number, line in enumerate(text.splitlines(), 1):
            if mark := re.search(r"# (HRS-\d+)$", line):
                yield mark[1], str(folder / f"{name}.py"), number


def shown(text: str) -> list[tuple[str, str, int]]:
    """Code, file and line of each error in what was written for people."""
    found = re.findall(r"^error\[(HRS-\d+)\]: .*\n  --> (.*):(\d+)$", text, re.MULTILINE)
    return [(code, file, int(line)) for code, file, line in found]


# -- all is well


def test_an_app_without_mistakes(write: Write, check: Check) -> None:
    """C-041, C-042: the database of this app does not exist; what its modules print is no data (C-020)."""
    write({"chatty": "print('imported')\n"})
    done = check("instance:app")
    assert (done.returncode, done.stdout) == (0, "ok: all validations passed\n  2 task(s) registered\n")
    assert done.stderr == "imported\n"


def test_warnings_change_nothing(write: Write, check: Check) -> None:
    """C-041, C-023, 09 section 4 phase 3.5: a time limit in a thread."""
    text = (
        "print('imported')\n"
        f"{TASK}@app.task('slow', executor='thread', timeout_ms=5000)\n"
        "def slow() -> TaskResult[int, TaskError]:\n    return TaskResult(ok=1)\n"
    )
    write({"threads": text})
    done = check("-m", "instance:app", "--json")
    assert done.returncode == 0
    assert done.stdout.endswith("}\n")
    answer = json.loads(done.stdout)
    assert list(answer) == ["ok", "data", "next_cursor"]
    assert (answer["ok"], answer["next_cursor"]) == (True, None)
    assert answer["data"]["tasks"] == ["load", "total", "slow"]
    (warning,) = answer["data"]["warnings"]
    assert warning.startswith("task 'slow' has timeout_ms and runs in a thread")


def test_an_app_without_tasks(tmp_path: Path, check: Check) -> None:
    """C-041: nothing is wrong, and yet it is worth a word."""
    (tmp_path / "empty.py").write_text(INSTANCE.split("@app.task", maxsplit=1)[0])
    done = check("empty.py:app")
    assert (done.returncode, done.stdout) == (0, "ok: all validations passed\n  0 task(s) registered\n")
    assert done.stderr.startswith("warning: no task is registered: name the modules")


# -- many mistakes


def test_ten_workflows_with_a_mistake_each(write: Write, check: Check, tmp_path: Path) -> None:
    """C-040, C-022, C-020, CF-44 phase 3: all of them, each with its line, then how many."""
    modules = {"workflows": TEN_WORKFLOWS}
    write(modules)
    done = check("instance:app")
    assert done.returncode == 1
    assert done.stdout == ""
    expected = list(marked(tmp_path, modules))
    assert len({code for code, _, _ in expected}) == 10
    assert shown(done.stderr) == expected
    for code, _, number in expected:
        line = TEN_WORKFLOWS.splitlines()[number - 1]
        assert f"{number:>5}| {line}\n" in done.stderr, code
        assert f"     | {' ' * (len(line) - len(line.lstrip()))}{'^' * len(line.lstrip())}\n" in done.stderr
    assert "\nerror: aborting due to 10 previous errors\n" in done.stderr
    assert done.stderr.endswith(
        "found while checking: workflow definitions; what comes after that was not checked\n"
    )
    assert done.stderr.count("= help:") == 10
    for advice in HELP:
        assert f"        {advice}" in done.stderr
    assert "\x1b[" not in done.stderr


def test_the_same_for_programs(write: Write, check: Check, tmp_path: Path) -> None:
    """C-023, C-040: one document with everything; never coloured (C-021)."""
    modules = {"workflows": TEN_WORKFLOWS}
    write(modules)
    done = check("instance:app", "--json", HORSIES_FORCE_COLOR="1")
    assert done.returncode == 1
    assert done.stdout.endswith("}\n")
    answer = json.loads(done.stdout)
    assert (answer["ok"], list(answer)) == (False, ["ok", "error"])
    error = answer["error"]
    assert (error["code"], error["retryable"], error["phase"]) == ("HRS-016", False, "workflow definitions")
    assert error["message"] == "10 errors, found while checking: workflow definitions"
    places = [(item["code"], item["file"], item["line"]) for item in error["errors"]]
    assert places == list(marked(tmp_path, modules))
    assert all(item["message"] and item["help"] for item in error["errors"])
    assert done.stderr == ""


def test_ten_modules_that_cannot_be_imported(write: Write, check: Check, tmp_path: Path) -> None:
    """C-040, CF-44 phase 2: the mistakes in workflows wait for their turn."""
    write({**TEN_MODULES, "workflows": TEN_WORKFLOWS})
    done = check("instance:app")
    assert done.returncode == 1
    assert shown(done.stderr) == list(marked(tmp_path, TEN_MODULES))
    assert "\nerror: aborting due to 10 previous errors\n" in done.stderr
    assert "= note: Meta does not see the names of the class around it; write 'end', in quotes" in done.stderr
    assert "found while checking: task modules;" in done.stderr


def test_a_module_that_is_not_there(write: Write, check: Check, tmp_path: Path) -> None:
    """C-040, HRS-206: the line that lists it is to blame."""
    write({}, listed=["instance", "workflow"])
    done = check("instance:app")
    line = INSTANCE.splitlines().index("app.discover_tasks(%s)") + 1
    assert shown(done.stderr) == [("HRS-206", str(tmp_path / "instance.py"), line)]
    assert "there is no module 'workflow' (listed for discover_tasks)" in done.stderr
    assert "aborting" not in done.stderr


def test_builders_and_what_nobody_registered(write: Write, check: Check, tmp_path: Path) -> None:
    """C-040, W-22, W-23, W-25: phase 3.2 comes before phase 3.3."""
    free = f"{TASK}from horsies import WorkflowSpec\n" + (
        "def nightly(day: str) -> WorkflowSpec:  # HRS-030\n    return app.workflow('n', [])\n"
    )
    built = f"{TASK}from horsies import WorkflowSpec\n" + (
        "@app.workflow_builder()  # HRS-027\ndef a(day: str) -> WorkflowSpec:\n    return app.workflow('n', [])\n"
        "@app.workflow_builder(cases=[{'dya': '1'}])  # HRS-028\n"
        "def b(day: str) -> WorkflowSpec:\n    return app.workflow('n', [])\n"
        "@app.workflow_builder()  # HRS-029\ndef c():\n    raise RuntimeError('no')\n"
    )
    write({"free": free, "built": built})
    assert shown(check("instance:app").stderr) == list(marked(tmp_path, {"built": built}))
    write({"free": free, "built": ""})
    done = check("instance:app")
    assert shown(done.stderr) == list(marked(tmp_path, {"free": free}))
    assert "nightly.__horsies_no_check__ = True" in done.stderr


def test_the_app_itself_cannot_be_loaded(tmp_path: Path, check: Check) -> None:
    """C-010, C-011, C-040 phase 1: no app named, an unusable one, a configuration with several mistakes."""
    none = check()
    assert (none.returncode, none.stdout) == (1, "")
    assert "error[HRS-206]: no app is named" in none.stderr
    assert "set HORSIES_APP" in none.stderr
    assert check(HORSIES_APP="nowhere:app").stderr.startswith(
        "\nerror[HRS-206]: there is no module 'nowhere'"
    )
    (tmp_path / "wrong.py").write_text(
        "from horsies import AppConfig, Horsies, PostgresConfig\n"
        "config = AppConfig(  # HRS-201\n"
        "    broker=PostgresConfig(database_url='postgresql://a:secret@b/c'), cluster_wide_cap=0\n)\n"
        "app = Horsies(config)\n"
    )
    done = check("--json", HORSIES_APP="wrong.py:app")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"], error["phase"]) == (1, "HRS-201", "the app's module")
    assert (error["errors"][0]["file"], error["errors"][0]["line"]) == (str(tmp_path / "wrong.py"), 2)
    assert error["message"] == error["errors"][0]["message"]
    assert "secret" not in done.stdout + done.stderr


# -- with the database


def test_a_live_check(write: Write, check: Check, database_url: str) -> None:
    """C-041: a database that is as it should be."""
    write({})
    done = check("instance:app", "--live", CHECK_URL=database_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok:")


def test_a_live_check_makes_nothing(write: Write, check: Check, empty_database_url: str) -> None:
    """C-043, 09 section 4 phase 4: the missing schema is told as a warning."""
    write({})
    done = check("instance:app", "--live", CHECK_URL=empty_database_url)
    assert (done.returncode, done.stdout[:3]) == (0, "ok:")
    assert done.stderr.startswith("warning: the schema 'horsies' is not there yet; a worker creates it")
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select to_regnamespace('horsies')").fetchone() == (None,)


def test_a_database_out_of_reach(write: Write, check: Check) -> None:
    """C-025, C-040 phase 4: without the password, and worth another try."""
    write({})
    done = check("instance:app", "--live", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"], error["retryable"]) == (1, "HRS-211", True)
    assert error["phase"] == "database"
    assert error["message"].startswith("database_url postgresql://app:****@127.0.0.1:1/jobs does not answer")
    assert "secret" not in done.stdout + done.stderr


def test_a_host_that_says_nothing() -> None:
    """C-043: given up after the pool's timeout, and after less than 10 s whatever that is."""
    assert ANSWER_LIMIT_S < 10
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://app:secret@127.0.0.1:{silent.getsockname()[1]}/jobs"
        broker = PostgresConfig(database_url=url, pool_timeout=1)
        (error,) = make_app(broker=broker).check(live=True)
    assert error.code is ErrorCode.BROKER_INIT_FAILED
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("state", "stored", "words"),
    [
        (SchemaState.BEHIND, 0, "is BEHIND: version 0 is stored"),
        (SchemaState.AHEAD, 9, "install the newer horsies packages"),
    ],
)
def test_schemas_of_other_versions(state: Any, stored: int, words: str) -> None:
    """09 section 4 phase 4."""
    (warning,) = schema_warnings("jobs", SchemaStatus(state, stored))
    assert words in warning
    assert "'jobs'" in warning


def test_a_server_that_is_too_old() -> None:
    """09 section 4 phase 4, 11-database: PostgreSQL 12 or newer."""
    assert list(server_warnings(110_022)) == ["the server is PostgreSQL 11.22; horsies needs 12 or newer"]
    assert list(server_warnings(120_000)) == []
    assert list(schema_warnings("jobs", SchemaStatus(SchemaState.MATCH, 1))) == []


# -- the command itself


def test_wrong_usage(check: Check) -> None:
    """C-006."""
    done = check("--loglevel", "loud")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: horsies check" in done.stderr


def test_interrupted(write: Write, tmp_path: Path) -> None:
    """09 section 2, exit codes: 130 for a command that was interrupted."""
    write({"endless": "import sys, time\nprint('here', file=sys.stderr, flush=True)\ntime.sleep(60)\n"})
    with running_module("horsies_cli", "check", "instance:app", directory=tmp_path) as process:
        process.wait_for("here")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert "Traceback" not in process.stderr
