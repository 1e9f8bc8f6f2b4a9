"""The shape of the code: sizes, where SQL stands, what an import pulls in."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "packages").rglob("src/**/*.py"))
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 70


def test_there_are_sources() -> None:
    assert len(SOURCES) > 50


def test_no_module_is_longer_than_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): n
        for path in SOURCES
        if (n := len(path.read_text().splitlines())) > MAX_MODULE_LINES
    }
    assert long == {}


def test_no_function_is_longer_than_70_lines() -> None:
    long: list[str] = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} {lines}")
    assert long == []


def test_sql_stands_in_sql_files_only() -> None:
    """Statements that name a table or call a function of the schema; LISTEN and its like are not among them."""
    statement = re.compile(
        r"\b(select\s.+\sfrom|insert\s+into|update\s+\S+\s+set|delete\s+from|create\s+table|alter\s+table)\b",
        re.IGNORECASE | re.DOTALL,
    )
    found: list[str] = []
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        found.extend(
            f"{path.relative_to(ROOT)}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
            and statement.search(node.value)
        )
    assert found == []


@pytest.mark.parametrize(
    ("imported", "forbidden"),
    [
        (
            "horsies",
            [
                "typer",
                "textual",
                "rich",
                "prometheus_client",
                "psutil",
                "horsies_worker",
                "horsies_cli",
                "psycopg_pool",
            ],
        ),
        ("horsies_worker.cli", ["textual", "horsies_scheduler", "horsies_syce", "horsies_cli"]),
        ("horsies_scheduler.cli", ["textual", "horsies_worker", "horsies_syce", "horsies_cli", "psutil"]),
        ("horsies_cli.main", ["textual", "horsies_worker", "horsies_scheduler", "horsies_syce"]),
        (
            "horsies_worker.child.main",
            ["typer", "textual", "prometheus_client", "horsies_worker.coordinator"],
        ),
    ],
)
def test_an_import_pulls_in_only_what_it_needs(imported: str, forbidden: list[str]) -> None:
    code = f"import sys, {imported}; print([m for m in {forbidden!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_with_core_alone() -> None:
    """Nothing of the public surface needs a sibling package."""
    code = (
        "import sys, horsies\n"
        "missing = [n for n in horsies.__all__ if not hasattr(horsies, n)]\n"
        "siblings = [m for m in sys.modules if m.startswith('horsies_')]\n"
        "print(missing, siblings, horsies.__all__ == sorted(horsies.__all__))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] [] True"
