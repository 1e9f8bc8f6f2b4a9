"""The root command: composed from what is installed, importing only what is invoked (C-001 to C-003, C-006)."""

import io
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from horsies_cli.colour import wants_colour
from tests.helpers import child_environment, run_module

_LOADED = """
import sys
from horsies_cli.main import main
sys.argv = ["horsies", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    print("status", end.code)
print("loaded", *sorted(sys.modules))
"""

_WITHOUT_SIBLINGS = """
import sys
from horsies_cli import main
main.entry_points = lambda group: []
sys.argv = ["horsies", *sys.argv[1:]]
main.main()
"""


def _horsies(*arguments: str, environment: dict[str, str | None] | None = None) -> CompletedProcess[str]:
    return run_module("horsies_cli", *arguments, environment=environment)


def _python(code: str, *arguments: str) -> CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=child_environment()
    )


@pytest.fixture
def third_party(tmp_path: Path) -> dict[str, str | None]:
    """An environment in which a distribution of somebody else contributes commands."""
    metadata = tmp_path / "stables-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stables\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[horsies.commands]\n"
        "broken = stables_broken:app\n"
        "absent = stables_absent:app\n"
        "groom = stables:groom\n"
        "number = stables:NUMBER\n"
        "version = stables:groom\n"
        "worker = stables:groom\n"
    )
    (tmp_path / "stables_broken.py").write_text("1 / 0\n")
    (tmp_path / "stables.py").write_text(
        "NUMBER = 7\n"
        "def groom(name: str, brush: int = 1) -> None:\n"
        "    '''Groom a horse.'''\n"
        "    print('groomed', name, brush)\n"
    )
    return {"PYTHONPATH": str(tmp_path)}


def test_help_lists_the_commands_and_imports_none(third_party: dict[str, str | None]) -> None:
    # C-001: `horsies --help` imports no contribution. What makes it slow is what it imports: psycopg, pydantic,
    # textual and the siblings stay out.
    done = _python(_LOADED, "--help")
    assert done.returncode == 0, done.stderr
    assert "status 0" in done.stdout
    for command in ("check", "dev", "demo", "version", "worker", "scheduler", "syce"):
        assert f"│ {command} " in done.stdout
    loaded = set(done.stdout.split("loaded ")[1].split())
    heavy = {"psycopg", "pydantic", "textual", "horsies_worker", "horsies_scheduler", "horsies_syce"}
    assert loaded & heavy == set()
    assert (
        loaded & {"horsies_cli.check", "horsies_cli.dev", "horsies_cli.demo", "horsies_cli.version"} == set()
    )

    listed = _horsies("--help", environment=third_party)
    assert listed.returncode == 0
    assert "groom" in listed.stdout
    assert "(from stables)" in listed.stdout  # C-003: listed as it is
    assert "broken" in listed.stdout


def test_help_of_a_command_imports_only_that_one() -> None:
    # C-001
    done = _python(_LOADED, "scheduler", "--help")
    assert "Usage: horsies scheduler" in done.stdout
    loaded = set(done.stdout.split("loaded ")[1].split())
    assert "horsies_scheduler.cli" in loaded
    assert loaded & {"horsies_syce", "horsies_worker", "horsies_cli.dev"} == set()


def test_an_absent_sibling_is_named_with_its_distribution() -> None:
    # C-002
    listed = _python(_WITHOUT_SIBLINGS, "--help")
    assert listed.returncode == 0
    assert "│ worker" not in listed.stdout
    assert "│ version" in listed.stdout
    for name in ("worker", "scheduler", "syce"):
        assert f"{name}: not installed, provided by horsies-{name}" in listed.stdout
    invoked = _python(_WITHOUT_SIBLINGS, "worker", "shop:app", "--processes", "3", "--help")
    assert invoked.returncode == 2
    assert invoked.stdout == ""
    assert "command 'worker' is provided by horsies-worker, which is not installed" in invoked.stderr
    assert "pip install horsies-worker" in invoked.stderr


def test_a_function_can_be_a_command(third_party: dict[str, str | None]) -> None:
    # C-001: a Typer app or callable
    done = _horsies("groom", "Bella", "--brush", "3", environment=third_party)
    assert (done.returncode, done.stdout) == (0, "groomed Bella 3\n")
    helped = _horsies("groom", "--help", environment=third_party)
    assert "Usage: horsies groom [OPTIONS]" in helped.stdout
    assert "Groom a horse." in helped.stdout
    assert _horsies("groom", "--nonsense", environment=third_party).returncode == 2


@pytest.mark.parametrize(
    ("command", "cause"),
    [
        ("broken", "ZeroDivisionError: division by zero"),
        ("absent", "ModuleNotFoundError: No module named 'stables_absent'"),
        ("number", "neither a Typer app nor a function"),
    ],
)
def test_a_broken_contribution_breaks_only_itself(
    third_party: dict[str, str | None], command: str, cause: str
) -> None:
    # C-003
    done = _horsies(command, "--help", environment=third_party)
    assert done.returncode == 1
    assert cause in done.stderr
    assert "stables" in done.stderr
    assert "Traceback" not in done.stderr
    assert _horsies("scheduler", "--help", environment=third_party).returncode == 0


def test_a_contribution_does_not_displace_another(third_party: dict[str, str | None]) -> None:
    # C-003: a clash with a built-in name is ignored with a warning; the siblings' own names are theirs too.
    done = _horsies("version", environment=third_party)
    assert done.returncode == 0
    assert "horsies-core" in done.stdout
    assert (
        "warning: the command 'version' of stables is ignored: horsies-cli has one of that name"
        in done.stderr
    )
    assert "warning: the command 'worker' of stables is ignored: horsies-worker has one" in done.stderr


def test_alone_it_prints_its_help() -> None:
    # C-006
    done = _horsies()
    assert done.returncode == 1
    assert "Usage: horsies" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments", [["stabel"], ["--nonsense"], ["version", "--nonsense"], ["dev", "--port", "x"]]
)
def test_wrong_usage_is_explained_on_stderr(arguments: list[str]) -> None:
    # C-006
    done = _horsies(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage: horsies" in done.stderr


@pytest.mark.parametrize("name", ["syce"])
def test_a_package_without_its_program_says_so(name: str) -> None:
    # C-004: the module, and the command, have the same options and exit codes.
    for done in (run_module(f"horsies_{name}"), _horsies(name)):
        assert done.returncode == 1
        assert "this version of" in done.stderr
        assert done.stdout == ""
    assert run_module(f"horsies_{name}", "--help").returncode == 0
    assert run_module(f"horsies_{name}", "--nonsense").returncode == 2


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "terminal", "coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, False),
        ({"HORSIES_FORCE_COLOR": "1"}, False, True),
        ({"HORSIES_FORCE_COLOR": "Yes", "NO_COLOR": "1"}, False, True),
        ({"HORSIES_FORCE_COLOR": "TRUE"}, False, True),
        ({"HORSIES_FORCE_COLOR": "0"}, False, False),
        ({"HORSIES_FORCE_COLOR": "on"}, False, False),
    ],
)
def test_colours_follow_the_environment_then_the_stream(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], terminal: bool, coloured: bool
) -> None:
    # C-021
    for name in ("HORSIES_FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wants_colour(_Terminal() if terminal else io.StringIO()) is coloured


def test_help_is_coloured_only_when_asked_for() -> None:
    # C-021
    assert "\x1b[" not in _horsies("--help", environment={"FORCE_COLOR": "1"}).stdout
    assert "\x1b[" in _horsies("--help", environment={"HORSIES_FORCE_COLOR": "1"}).stdout
