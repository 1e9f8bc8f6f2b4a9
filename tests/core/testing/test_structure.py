"""T-87: the helpers use the product's own codec, SQL and retry decision; none re-implements a rule."""

import ast
import inspect
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import horsies.testing
import horsies_worker.inline
from horsies.errors.diagnostic import HorsiesError
from horsies.sql import Statements
from horsies.testing import runner

SOURCES = sorted(Path(horsies.testing.__path__[0]).glob("*.py"))
INLINE = Path(horsies_worker.inline.__file__)
DECISIONS = {
    "horsies_worker.cycle_params": {"written"},
    "horsies_worker.ends": {"completed_params", "ended_json"},
    "horsies_worker.node_ends": {"node_params"},
    "horsies_worker.failures": {"expired", "timed_out", "crashed"},
    "horsies_worker.answers": {"read"},
    "horsies_worker.registrations": {"Registrations", "LANE_EXECUTORS"},
    "horsies_worker.child.execution": {"run_def", "run_async_def"},
    "horsies_worker.child.prepare": {"run_step"},
    "horsies_worker.worker": {"policy_of", "served_queues"},
}
"""Who decides about ends, retries, deadlines, time limits, steps of workflows and queues, and reads the answers."""


def imported(path: Path) -> set[str]:
    """Every name that a module imports, as module.name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_who_runs_tasks_asks_the_worker_for_every_decision() -> None:
    names = imported(INLINE) | imported(
        INLINE.with_name("cycle_params.py")
    )  # which it calls for what it writes
    tree = ast.unparse(ast.parse(INLINE.read_text()))
    for module, functions in DECISIONS.items():
        for name in functions:
            assert f"{module}.{name}" in names or f"{module.rsplit('.', 1)[1]}.{name}(" in tree, name


def test_the_worker_asks_the_same() -> None:
    """What is called in a drain is what executors and coordinator call."""
    product = {name for path in INLINE.parent.rglob("*.py") if path != INLINE for name in imported(path)} | {
        f"horsies_worker.worker.{name}"
        for name, _ in inspect.getmembers(sys.modules["horsies_worker.worker"])
    }
    for module, functions in DECISIONS.items():
        for name in functions:
            package, _, last = module.rpartition(".")
            assert f"{module}.{name}" in product or f"{package}.{last}" in product, name


def test_no_helper_has_a_codec_statements_or_a_retry_rule_of_its_own() -> None:
    """Statements come from the product's files, by name; results are decoded by the functions of handles."""
    names = Statements("horsies").names()
    for path in [*SOURCES, INLINE]:
        modules = {name.rsplit(".", 1)[0].split(".")[0] for name in imported(path)}
        assert not modules & {"json", "random"}, path
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Run":
                name = node.args[0]
                assert isinstance(name, ast.Constant)
                assert name.value in names
    inline = SOURCES[0].parent / "inline.py"
    assert "horsies.reading.handle_outcome" in imported(inline)


def test_the_helpers_need_neither_pytest_nor_a_worker_to_be_imported() -> None:
    """01 §14."""
    code = (
        "import sys, horsies.testing;"
        " print([m for m in sys.modules if m.startswith(('pytest', '_pytest', 'horsies_'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_horsies_does_not_import_its_helpers() -> None:
    code = "import sys, horsies; horsies.Horsies; print('horsies.testing' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_worker_announces_its_runner() -> None:
    (point,) = entry_points(group=runner.ENTRY_POINT_GROUP)
    assert (point.name, point.value) == ("runner", "horsies_worker.inline:InlineRunner")


def test_without_a_worker_package_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "ENTRY_POINT_GROUP", "horsies.nothing")
    runner.inline_runner.cache_clear()
    try:
        with pytest.raises(HorsiesError, match="horsies-worker"):
            runner.inline_runner()
    finally:
        runner.inline_runner.cache_clear()
