"""Importing task modules, each file once (R-025, R-026, CF-37 to CF-39, CF-44 phase 2)."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError, TaskDefinitionError
from horsies.locate import check_task_modules, expand_module_globs, import_task_modules, locate_app
from tests.core.locating.application import Application

type Write = Callable[..., Path]


def counter(write: Write, path: str) -> None:
    """A module that counts how often it is executed."""
    write("executions.py", "paths = []")
    write(path, "import executions; executions.paths.append(__name__)", app="app")


def executions() -> list[str]:
    return list(sys.modules["executions"].paths)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("shop/main.py", "shop/main.py"),
        ("shop/main.py", "./shop/../shop/main.py"),
        ("shop/main.py", "link.py"),
        ("link.py", "shop/main.py"),
        ("shop/main.py", "linked/main.py"),
        ("shop/main.py", "shop.main"),
        ("shop.main", "shop/main.py"),
        ("shop/main.py", "main"),
        ("linked.main", "shop.main"),
    ],
)
@pytest.mark.parametrize("is_package", [True, False])
def test_one_file_is_executed_once(
    write: Write, tmp_path: Path, first: str, second: str, is_package: bool
) -> None:
    """R-025: whichever two paths reach it."""
    counter(write, "shop/main.py")
    if is_package:
        write("shop/__init__.py")
    (tmp_path / "link.py").symlink_to("shop/main.py")
    (tmp_path / "linked").symlink_to("shop")
    assert locate_app(first, Application) is locate_app(second, Application)
    assert len(executions()) == 1


@pytest.mark.parametrize("statement", ["from shop.main import app", "from main import app"])
@pytest.mark.parametrize("is_package", [True, False])
def test_import_statements_find_a_file_that_runs_already(
    write: Write, statement: str, is_package: bool
) -> None:
    """R-025: also while it is still being executed, as with an app that imports its task modules."""
    counter(write, "shop/main.py")
    if is_package:
        write("shop/__init__.py")
    main = write("shop/main.py", "import executions; executions.paths.append(1); import tasks", app="app")
    write("shop/tasks.py", f"{statement}\nseen = app\n")
    app = locate_app(str(main), Application)
    (tasks,) = import_task_modules(["shop/tasks.py"])
    assert tasks.seen is app
    assert len(executions()) == 1


def test_a_script_is_not_executed_again_as_a_module(write: Write, tmp_path: Path) -> None:
    """R-025: the running script is a file of this process too."""
    write("tasks.py", "from script import label")
    write(
        "script.py",
        """
        print("executed")
        label = "script"
        from horsies.locate import import_task_modules
        if __name__ == "__main__":
            script, tasks = import_task_modules(["script.py", "tasks.py"])
            assert script.__name__ == "__main__"
            assert tasks.label == "script"
        """,
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("executed\n", "")


def test_an_alias_leaves_the_module_as_it_was(write: Write) -> None:
    """R-025, K-26: name and spec stay those of the first import."""
    write("jobs/tasks.py", "class Model: ...")
    (tasks,) = import_task_modules(["jobs/tasks.py"])
    spec = tasks.__spec__
    (again,) = import_task_modules(["jobs.tasks"])
    assert again is tasks
    assert (tasks.__name__, tasks.Model.__module__) == ("tasks", "tasks")
    assert tasks.__spec__ is spec


def test_a_file_gets_the_name_an_import_statement_gives_it(write: Write) -> None:
    """K-26: classes are known by module and name in every process."""
    write("jobs/tasks.py")
    write("shop/__init__.py")
    write("shop/sub/__init__.py")
    write("shop/sub/mail.py", "from . import __name__ as package")
    tasks, mail, package = import_task_modules(["jobs/tasks.py", "shop/sub/mail.py", "shop/sub/__init__.py"])
    assert tasks.__name__ == "tasks"
    assert (mail.__name__, mail.package) == ("shop.sub.mail", "shop.sub")
    assert package.__name__ == "shop.sub"
    assert sys.modules["tasks"] is tasks


def test_a_package_does_not_shadow_the_standard_library(write: Write, tmp_path: Path) -> None:
    """R-022: the directory of a package comes last on the path."""
    write("shop/__init__.py")
    write("shop/colorsys.py", "shadow = True")
    write("shop/main.py", "import colorsys; shadowed = hasattr(colorsys, 'shadow')")
    (main,) = import_task_modules(["shop/main.py"])
    assert main.shadowed is False
    assert str(tmp_path / "shop") in sys.path


def test_files_of_one_name_are_different_modules(write: Write) -> None:
    """R-025, R-026: the second one gets a name that depends on the project's layout only."""
    write("a/tasks.py", "label = 'a'")
    write("b/tasks.py", "label = 'b'")
    write("b/json.py", "label = 'not the standard one'")
    modules = import_task_modules(["a/tasks.py", "b/tasks.py", "b/json.py", "a/tasks.py"])
    assert [module.__name__ for module in modules] == [
        "tasks",
        "horsies_file_b_tasks",
        "horsies_file_b_json",
        "tasks",
    ]
    assert [getattr(module, "label", None) for module in modules] == ["a", "b", "not the standard one", "a"]


def test_a_file_whose_name_cannot_be_imported(write: Write) -> None:
    """R-020: by path it can."""
    write("my-jobs/2024-tasks.py", app="app")
    assert locate_app("my-jobs/2024-tasks.py", Application).label == "my-jobs/2024-tasks.py"
    assert "horsies_file_my_jobs_2024_tasks" in sys.modules


def test_entries_are_imported_as_listed(write: Write) -> None:
    """R-026, CF-38: dotted or by path, in order, without searching packages."""
    write("shop/__init__.py", "import executions; executions.paths.append(__name__)")
    write("shop/deep.py", "raise AssertionError('not listed')")
    write("jobs/tasks.py", "import executions; executions.paths.append(__name__)")
    write("executions.py", "paths = []")
    modules = import_task_modules(["jobs/tasks.py", "shop"])
    assert [module.__name__ for module in modules] == ["tasks", "shop"]
    assert executions() == ["tasks", "shop"]
    assert import_task_modules([]) == []


@pytest.mark.parametrize(
    "entry", ["nowhere", "shop.nowhere", "nowhere.py", "shop/nowhere.py", "shop.x.py", "main:app"]
)
def test_missing_entries_are_reported_alike_by_import_and_check(write: Write, entry: str) -> None:
    """CF-38, CF-44 phase 2."""
    write("shop/__init__.py")
    with pytest.raises(ConfigurationError) as caught:
        import_task_modules([entry])
    assert caught.value.code == ErrorCode.CLI_INVALID_ARGS
    modules, (error,) = check_task_modules([entry])
    assert modules == []
    assert (error.code, error.message) == (caught.value.code, caught.value.message)
    assert entry in error.message


def test_import_errors_propagate(write: Write) -> None:
    """CF-38."""
    write("broken.py", "import module_that_is_not_installed")
    with pytest.raises(ModuleNotFoundError, match="module_that_is_not_installed"):
        import_task_modules(["broken"])
    with pytest.raises(ModuleNotFoundError, match="module_that_is_not_installed"):
        import_task_modules(["./broken.py"])


def test_check_goes_on_after_a_broken_module(write: Write) -> None:
    """CF-44 phase 2: HRS-210 for what raises, errors of definitions as they are."""
    write("broken.py", "1 / 0")
    write(
        "wrong.py",
        "from horsies.errors.diagnostic import TaskDefinitionError\nraise TaskDefinitionError('mine')",
    )
    write("good.py")
    modules, errors = check_task_modules(["broken", "wrong.py", "missing", "good"])
    assert [module.__name__ for module in modules] == ["good"]
    assert [error.code for error in errors] == [ErrorCode.MODULE_EXEC_ERROR, None, ErrorCode.CLI_INVALID_ARGS]
    assert isinstance(errors[1], TaskDefinitionError)


def test_a_misspelled_name_is_guessed(write: Write) -> None:
    """CF-44 phase 2: what the interpreter suggests in tracebacks is a note."""
    write("misspelt.py", "value = 1\nprint(valeu)")
    write("plain.py", "nothing_like_it")
    _, errors = check_task_modules(["misspelt", "plain"])
    assert [error.notes for error in errors] == [["Did you mean: 'value'?"], []]


@pytest.fixture
def tree(write: Write, tmp_path: Path) -> Callable[[list[str]], list[str]]:
    """Some files, and a function that shortens their real paths again."""
    for name in ("a.py", "b.py", "a_test.py", "test_a.py", "conftest.py", "deep/er/c.py", "deep/d.py"):
        write(f"jobs/{name}")
    (tmp_path / "jobs" / "notes.txt").touch()
    (tmp_path / "jobs" / "folder.py").mkdir()
    (tmp_path / "link.py").symlink_to("jobs/a.py")
    root = os.path.realpath(tmp_path)
    return lambda found: [item.removeprefix(f"{root}/") for item in found]


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["jobs/*.py"], ["jobs/a.py", "jobs/b.py"]),
        (["jobs/**/*.py"], ["jobs/a.py", "jobs/b.py", "jobs/deep/d.py", "jobs/deep/er/c.py"]),
        (["jobs/[b-z].py", "jobs/?.py"], ["jobs/b.py", "jobs/a.py"]),
        (["jobs/b.py", "jobs/a.py", "jobs/*.py"], ["jobs/b.py", "jobs/a.py"]),
        (["link.py", "jobs/a.py"], ["jobs/a.py"]),
        (["jobs/*"], ["jobs/a.py", "jobs/b.py"]),
        (["jobs/notes.txt", "jobs/missing.py", "nowhere/*.py", "jobs"], ["jobs"]),
        (
            ["shop.tasks", "jobs/a.py", "shop.tasks", "missing.module"],
            ["shop.tasks", "jobs/a.py", "missing.module"],
        ),
        (["jobs/test_a.py"], []),
        ([], []),
    ],
)
def test_patterns_become_files(
    tree: Callable[[list[str]], list[str]], patterns: list[str], found: list[str]
) -> None:
    """CF-39: real paths of existing `.py` files, each once, in order; dotted names pass."""
    expanded = expand_module_globs(patterns)
    assert tree(expanded) == found
    assert all(os.path.isabs(item) for item in expanded if item.endswith(".py"))


@pytest.mark.parametrize(
    ("exclude", "found"),
    [
        (
            [],
            [
                "jobs/a.py",
                "jobs/a_test.py",
                "jobs/b.py",
                "jobs/conftest.py",
                "jobs/deep/d.py",
                "jobs/test_a.py",
            ],
        ),
        (["*_test.py", "b.py"], ["jobs/a.py", "jobs/conftest.py", "jobs/deep/d.py", "jobs/test_a.py"]),
        (["*/jobs/*"], []),
        (["jobs/deep/*", "*/a*.py"], ["jobs/b.py", "jobs/conftest.py", "jobs/test_a.py"]),
    ],
)
def test_exclusions_match_path_and_file_name(
    tree: Callable[[list[str]], list[str]], exclude: list[str], found: list[str]
) -> None:
    """CF-39."""
    expanded = expand_module_globs(["jobs/*.py", "jobs/deep/*.py"], exclude=exclude)
    assert sorted(tree(expanded)) == sorted(found)


def test_expanded_files_can_be_discovered(write: Write) -> None:
    """CF-37, CF-39: the result is what `discover_tasks` takes."""
    write("jobs/mail.py", "label = 'mail'")
    write("jobs/bulk.py", "label = 'bulk'")
    modules = import_task_modules(expand_module_globs(["jobs/*.py"]))
    assert [module.label for module in modules] == ["bulk", "mail"]
