"""Importing modules by name or by file, so that one file is executed once per process."""

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

_PROJECT_FILES = ("pyproject.toml", "setup.cfg", "setup.py")

_names: dict[str, str] = {}
"""Real path of each file imported through this module, and the name it runs under."""
_last_names: set[str] = set()
"""The last part of every dotted name those files can be imported by."""


def add_project_to_path() -> None:
    """Put the working directory on `sys.path` if it is the root of a project."""
    directory = Path.cwd()
    if any((directory / name).is_file() for name in _PROJECT_FILES):
        _add_to_path(str(directory))


def import_by_name(name: str) -> ModuleType | None:
    """Import a module by its dotted name.

    Returns:
        The module, or None when there is no such module. Whatever its code raises propagates.
    """
    loaded = sys.modules.get(name)
    if loaded is None:
        spec = _find(name)
        if spec is None:
            return None
        _remember(spec.origin, name)
    return importlib.import_module(name)


def import_by_file(path: Path) -> ModuleType:
    """Import an existing `.py` file.

    Its directory goes on `sys.path`, and the module gets the name an import statement would give it there, so
    that other modules and other processes know its classes by the same name. A file of a package is imported
    as part of it.

    Args:
        path: the file.

    Returns:
        The module. Whatever its code raises propagates.
    """
    file = os.path.abspath(path)
    loaded = _loaded_from(os.path.realpath(file))
    directory = os.path.dirname(file)
    root, name = _importable_name(file)
    if root != directory:
        # At the end: the modules of a package may be called like ones of the standard library.
        _add_to_path(root)
        _add_to_path(directory, at_end=True)
    else:
        _add_to_path(directory)
    if loaded is not None:
        return loaded
    if name is not None:
        spec = _find(name)
        if spec is not None and spec.origin is not None and os.path.samefile(spec.origin, file):
            _remember(file, name)
            return importlib.import_module(name)
    return _import_under_own_name(file)


def _import_under_own_name(file: str) -> ModuleType:
    # The plain name belongs to another module or is not one Python could import. The name chosen here depends
    # on the layout of the project only, not on where it lies, so that it is the same on every machine.
    parts = [re.sub(r"\W", "_", part) for part in Path(file).with_suffix("").parts[1:]]
    depth = next(
        depth
        for depth in range(2, len(parts) + 2)
        if "_".join(["horsies_file", *parts[-depth:]]) not in sys.modules
    )
    name = "_".join(["horsies_file", *parts[-depth:]])
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python source file", path=file)
    module = importlib.util.module_from_spec(spec)
    _remember(file, name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return sys.modules[name]


def _importable_name(file: str) -> tuple[str, str | None]:
    """Give the directory that has to be on `sys.path` and the dotted name of a file from there, if any."""
    directory, base = os.path.split(file)
    parts = [base.removesuffix(".py")]
    while (
        os.path.isfile(os.path.join(directory, "__init__.py")) and os.path.basename(directory).isidentifier()
    ):
        directory, package = os.path.split(directory)
        parts.insert(0, package)
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    return directory, ".".join(parts) if all(part.isidentifier() for part in parts) else None


def _find(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        # Raised for a missing parent package; one that a parent's own code misses is that code's error.
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return None
        raise
    except ValueError:
        return None  # a module without a spec, for example one made by hand


def _loaded_from(real_path: str) -> ModuleType | None:
    known = sys.modules.get(_names.get(real_path, ""))
    if known is not None:
        return known
    base = os.path.basename(real_path)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__dict__", {}).get("__file__")
        # Comparing the last part first keeps this from asking the file system about every module there is.
        if isinstance(file, str) and os.path.basename(file) == base and os.path.realpath(file) == real_path:
            _note(real_path, name)
            return module
    return None


def _remember(file: str | None, name: str) -> None:
    """Note that a file is about to be imported under a name, unless it already runs under another one."""
    if file is None:
        return
    real_path = os.path.realpath(file)
    if _loaded_from(real_path) is None:
        _note(real_path, name)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def _note(real_path: str, name: str) -> None:
    directory, base = os.path.split(real_path)
    _names[real_path] = name
    _last_names.add(os.path.basename(directory) if base == "__init__.py" else base.removesuffix(".py"))


def _add_to_path(directory: str, *, at_end: bool = False) -> None:
    if directory not in sys.path:
        sys.path.insert(len(sys.path) if at_end else 0, directory)


class _OnceFinder(MetaPathFinder):
    """Makes an import statement find the module that a known file already runs as, under whatever name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # Every import of the process passes here: compare names before touching the file system.
        if fullname.rpartition(".")[2] not in _last_names:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            return None
        name = _names.get(os.path.realpath(spec.origin), fullname)
        module = sys.modules.get(name)
        if name == fullname or module is None:
            return None
        return ModuleSpec(fullname, _AliasLoader(module), origin=spec.origin)


class _AliasLoader(Loader):
    """Hands out a module that exists already, and leaves it as it is."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import machinery has put the alias's there


_finder = _OnceFinder()
