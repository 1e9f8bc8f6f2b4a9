"""One virtual environment per peer in benchmarks/.envs, with pinned versions from PyPI."""

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ENVS = HERE / ".envs"


class EnvironmentMissingError(Exception):
    """The environment could not be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment and what is installed in it."""

    name: str
    requirements: tuple[str, ...]

    @property
    def directory(self) -> Path:
        return ENVS / self.name

    @property
    def python(self) -> Path:
        return self.directory / "bin" / "python"

    @property
    def _stamp(self) -> Path:
        return self.directory / "requirements.txt"

    def ensure(self, *, renew: bool = False) -> None:
        """Make the environment unless it is there with the same requirements.

        Raises:
            EnvironmentMissingError: uv is absent, or a package cannot be had.
        """
        wanted = "\n".join((sys.version, *self.requirements)) + "\n"
        if not renew and self._stamp.exists() and self._stamp.read_text() == wanted:
            return
        shutil.rmtree(self.directory, ignore_errors=True)
        uv = _find_uv()
        _run([*uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(self.directory)])
        _run([*uv, "pip", "install", "--quiet", "--python", str(self.python), *self.requirements])
        self._stamp.write_text(wanted)

    def site_packages(self) -> Path:
        return next((self.directory / "lib").glob("python*/site-packages"))


def horsies_core_environment() -> Environment:
    """horsies-core as a user installs it (not editable), for its size and import time."""
    return Environment("horsies-core", (str(HERE.parent / "packages" / "horsies-core"),))


def _find_uv() -> list[str]:
    paths = (os.environ.get("UV"), shutil.which("uv"), str(HERE.parent / ".uv" / "bin" / "uv"))
    candidates = [[path] for path in paths if path and Path(path).exists()]
    if importlib.util.find_spec("uv"):
        candidates.append([sys.executable, "-m", "uv"])
    for command in candidates:  # what is on PATH may be a version manager's shim without a uv behind it
        if subprocess.run([*command, "--version"], capture_output=True).returncode == 0:
            return command
    raise EnvironmentMissingError("no working uv on PATH, and no `python -m uv`")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise EnvironmentMissingError(f"{' '.join(command)}: {done.stderr.strip()[-400:] or 'no message'}")
