"""One process's hold on the server of a directory: started if need be, joined if it runs already."""

import contextlib
import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from horsies.embedded import supervisor
from horsies.embedded.binaries import (
    BINARIES_VARIABLE,
    find_binaries,
    major_version,
    reachable_binaries,
    server_account,
)
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError

_READY_SECONDS = 90.0
_STOP_SECONDS = 60.0
_MEMORY_DIRECTORY = Path("/dev/shm")  # noqa: S108
_ENOUGH_MEMORY = 1 << 30


class EmbeddedServer:
    """A private PostgreSQL server in a directory, on 127.0.0.1, for all processes that name the directory.

    As a context manager it holds the server for the time of the block; `start` and `stop` do the same by
    hand. The server ends with the last process that holds it, also when that process is killed.

    Example:
        with EmbeddedServer(Path("/var/tmp/my-app/postgres")) as server:
            psycopg.connect(server.url())
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        durable: bool = True,
        options: Mapping[str, str] | None = None,
        port: int | None = None,
        remove: bool = False,
    ) -> None:
        """Nothing is started or touched yet.

        Args:
            directory: data, password, lock and log files; made if absent. None: the user's state directory.
            durable: False trades safety after a power failure for speed.
            options: settings of the server (`{"max_connections": "50"}`) if this process starts it.
            port: the TCP port to listen on; None: that of the last time if it is free, else any free one.
            remove: the directory is removed when the server ends.
        """
        self.directory = (directory or default_directory()).absolute()
        self._durable = durable
        self._options = dict(options or {})
        self._wanted_port = port
        self._remove = remove
        self._hold: int | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._port = 0
        self._password = ""

    def __repr__(self) -> str:
        return f"EmbeddedServer({str(self.directory)!r}, durable={self._durable})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The TCP port the server listens on."""
        return self._port

    @property
    def pid(self) -> int:
        """The process id of the server (PostgreSQL's main process)."""
        return self._pid

    def url(self, database: str = "postgres") -> str:
        """A URL with the password of the server's superuser `horsies`."""
        return f"postgresql://horsies:{self._password}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Take a hold on the server; starts it, or joins it, or starts it again if it died meanwhile.

        Raises:
            ConfigurationError: HRS-203: no server binaries, a data directory of another PostgreSQL version, a
                directory that cannot be used, or a server that does not start (with what it said).
        """
        try:
            self._prepare_directory()
            if self._hold is None:
                self._hold = self._take_hold()
            self._start_or_join()
        except OSError as error:
            self.stop()
            raise _refusal(
                f"the directory {self.directory} cannot hold a private PostgreSQL", str(error)
            ) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Give up the hold. The last one waits until the server is down (and its directory removed)."""
        if self._hold is None:
            return
        users = supervised = None
        with contextlib.suppress(
            OSError
        ):  # a directory that somebody removed by hand has nothing to wait for
            users = os.open(self.directory / "users.lock", os.O_RDWR)
            supervised = self._open_lock("supervisor.lock")
        os.close(self._hold)
        self._hold = None
        shared = users is not None and _shared_by_others(users)
        if users is not None:
            os.close(users)
        if supervised is not None:
            if not shared:
                _wait_until_free(supervised)
            os.close(supervised)
        if self._remove and not shared:
            shutil.rmtree(self.directory, ignore_errors=True)
        if self._supervisor is not None:
            self._reap(self._supervisor)
            self._supervisor = None

    def _take_hold(self) -> int:
        """A shared lock that lasts as long as this process and its forks; waits for a server going down."""
        path = self.directory / "users.lock"
        while True:
            hold = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(hold, fcntl.LOCK_SH)
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(hold).st_ino == path.stat().st_ino:
                    return hold
            os.close(hold)  # the end of a throw-away server removed the file we waited for
            self._prepare_directory()

    def is_running(self) -> bool:
        """Whether the server is up or on its way; the hold of this process does not matter."""
        return self._has_supervisor()

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        """Collect the ended child; one that goes on for other users is no longer ours."""
        if self._has_supervisor():
            process.returncode = process.poll() or 0
        else:
            process.wait(10)

    def _has_supervisor(self) -> bool:
        try:
            lock = os.open(self.directory / "supervisor.lock", os.O_RDWR)
        except OSError:
            return False
        try:
            return not _try_lock(lock)
        finally:
            os.close(lock)

    def _open_lock(self, name: str) -> int:
        return os.open(self.directory / name, os.O_CREAT | os.O_RDWR, 0o600)

    def _prepare_directory(self) -> None:
        account = server_account()
        if not self.directory.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            # The unprivileged account must be able to pass through; what is secret has a mode of its own.
            self.directory.chmod(0o711 if account else 0o700)
        if account is None:
            return
        for parent in (self.directory, *self.directory.parents):
            if not _can_enter(account, parent.stat()):
                raise _refusal(
                    f"the account {account.name!r} cannot enter {parent}",
                    "this process is root, and PostgreSQL must run under an unprivileged account",
                    f"use a directory outside {parent}, or run as an ordinary user",
                )

    def _start_or_join(self) -> None:
        start_lock = self._open_lock("start.lock")
        lifetime = self._open_lock("supervisor.lock")
        try:
            fcntl.flock(start_lock, fcntl.LOCK_EX)
            while True:
                started_here = _try_lock(lifetime)
                if started_here:
                    self._spawn(lifetime)
                if self._await_ready(lifetime, started_here):
                    return
                if started_here:
                    raise _refusal(
                        f"the private PostgreSQL in {self.directory} did not start",
                        _tail(self.directory / "supervisor.log"),
                        f"see {self.directory}/postgres.log",
                    )
        finally:
            os.close(lifetime)
            os.close(start_lock)

    def _spawn(self, lifetime: int) -> None:
        """Start the supervisor, which inherits the lock that says it lives."""
        (self.directory / "server.json").unlink(missing_ok=True)
        if self._supervisor is not None:
            self._reap(self._supervisor)
        account = server_account()
        binaries = find_binaries()
        self._check_version(binaries)
        job = supervisor.Job(
            directory=str(self.directory),
            binaries=str(reachable_binaries(binaries, account, self.directory)),
            options=self._options,
            port=self._wanted_port,
            durable=self._durable,
            remove=self._remove,
            account=account,
        )
        with (self.directory / "supervisor.log").open("wb") as log:
            self._supervisor = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", supervisor.__file__, job.to_json()],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lifetime],
                start_new_session=True,
            )

    def _check_version(self, binaries: Path) -> None:
        version_file = self.directory / "data" / "PG_VERSION"
        if not version_file.exists():
            return
        made_by, found = version_file.read_text().strip(), major_version(binaries)
        if made_by != str(found):
            raise _refusal(
                f"{self.directory} was made by PostgreSQL {made_by}, the server found is PostgreSQL {found}",
                f"server programs: {binaries}",
                f"set {BINARIES_VARIABLE} to the programs of PostgreSQL {made_by}, use another directory,\n"
                "or remove this one if its data is not needed",
            )

    def _await_ready(self, lifetime: int, started_here: bool) -> bool:
        """False: the supervisor ended without a ready server (one started elsewhere may have been ending)."""
        state_file = self.directory / "server.json"
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            # Our own child shares our lock, so it is watched itself; a supervisor started elsewhere by the
            # lock.
            if started_here:
                ended = self._supervisor is None or self._supervisor.poll() is not None
            else:
                ended = _try_lock(lifetime)
            with contextlib.suppress(FileNotFoundError):
                state = json.loads(state_file.read_text())
                if not ended and _is_alive(state["pid"]):
                    self._pid, self._port = int(state["pid"]), int(state["port"])
                    self._password = (self.directory / "password").read_text()
                    return True
            if ended:
                return False
            time.sleep(0.005)
        raise _refusal(
            f"the private PostgreSQL in {self.directory} is not ready after {_READY_SECONDS:.0f} s",
            f"see {self.directory}/postgres.log and supervisor.log",
        )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _can_enter(account: supervisor.Account, directory: os.stat_result) -> bool:
    if directory.st_uid == account.uid:
        return bool(directory.st_mode & stat.S_IXUSR)
    if directory.st_gid == account.gid:
        return bool(directory.st_mode & stat.S_IXGRP)
    return bool(directory.st_mode & stat.S_IXOTH)


def _tail(log: Path) -> str:
    try:
        text = log.read_text(errors="replace").strip()
    except OSError as error:
        return str(error)
    return "\n".join(text.splitlines()[-8:]) or "it said nothing"


def _refusal(message: str, note: str, help_text: str | None = None) -> ConfigurationError:
    return ConfigurationError(message, code=ErrorCode.BROKER_INVALID_URL, notes=[note], help_text=help_text)


def _try_lock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _shared_by_others(users: int) -> bool:
    """Whether another process holds the server, now that this one does not."""
    return not _try_lock(users) and _try_lock(users, fcntl.LOCK_SH)


def _wait_until_free(lifetime: int) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while not _try_lock(lifetime) and time.monotonic() < deadline:
        time.sleep(0.005)


def default_directory() -> Path:
    """The user's state directory; root's lies outside its home, which the server's account cannot enter."""
    if state := os.environ.get("XDG_STATE_HOME"):
        return Path(state) / "horsies" / "postgres"
    if os.geteuid() == 0:
        return Path("/var/lib/horsies/postgres")
    return Path.home() / ".local" / "state" / "horsies" / "postgres"


def throwaway_directory(prefix: str = "horsies-") -> Path:
    """A new directory for a server with `remove=True`: in memory when /dev/shm has over 1 GB free."""
    place = _throwaway_place()
    made = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    if os.geteuid() == 0:
        made.chmod(0o711)
    return made


def _throwaway_place() -> Path:
    with contextlib.suppress(OSError):
        # Root may have to copy the server's programs there, which needs a place they can be run from.
        forbidden = os.ST_NOEXEC if sys.platform == "linux" and os.geteuid() == 0 else 0
        flags = os.statvfs(_MEMORY_DIRECTORY).f_flag
        if (
            os.access(_MEMORY_DIRECTORY, os.W_OK)
            and shutil.disk_usage(_MEMORY_DIRECTORY).free > _ENOUGH_MEMORY
            and not flags & forbidden
        ):
            return _MEMORY_DIRECTORY
    return Path(tempfile.gettempdir())
