"""The process that starts PostgreSQL in a directory, and stops it when nobody uses the directory any more.

Run as a script by its path, with nothing but the standard library: the starter's `sys.path` does not matter.
A user of the server holds a shared lock on `users.lock`, which the kernel drops however the user ends; the
supervisor stops the server once it gets that lock alone. It holds `supervisor.lock` (taken by its starter and
inherited) as long as it lives, so that no process id has to be believed.
"""

import contextlib
import ctypes
import dataclasses
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_START_ATTEMPTS = 20
_START_SECONDS = 60.0
# The log lines of a start that is worth repeating: somebody took the port that was free a moment ago, or
# processes of a server that was killed have not noticed yet that it is gone.
_PORT_TAKEN = ("could not bind", "could not create any TCP/IP sockets")
_STILL_ENDING = ("shared memory block", "lock file")


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """The operating-system account the server runs under when the starter is root."""

    name: str
    uid: int
    gid: int


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """What the starter asks for."""

    directory: str
    binaries: str
    options: dict[str, str]
    port: int | None
    durable: bool
    remove: bool
    account: Account | None

    def to_json(self) -> str:
        """One command-line argument."""
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> "Job":
        """The reverse of `to_json`."""
        fields = json.loads(text)
        account = fields.pop("account")
        return Job(account=Account(**account) if account else None, **fields)


class StartFailedError(Exception):
    """PostgreSQL could not be initialised or started; the message is the reason."""


def server_environment() -> dict[str, str]:
    """The environment of the server: none of the user's PG* variables, neutral messages and times."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C.UTF-8" if sys.platform == "linux" else "C", "TZ": "UTC"}


def _initialise(job: Job, directory: Path) -> None:
    """Make the cluster aside and move it into place: an interrupted attempt is never taken for a cluster."""
    unfinished, password_file = directory / "data.new", directory / "password.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    password_file.unlink(missing_ok=True)
    unfinished.mkdir(mode=0o700)
    password = secrets.token_urlsafe(18)
    _write_private(password_file, password)
    if job.account:
        os.chown(unfinished, job.account.uid, job.account.gid)
        os.chown(password_file, job.account.uid, job.account.gid)
    command = [
        f"{job.binaries}/initdb", "--pgdata", str(unfinished), "--username", "horsies",
        "--auth", "scram-sha-256", "--pwfile", str(password_file), "--encoding", "UTF8", "--no-locale",
    ]  # fmt: skip
    if not job.durable:
        command.append("--no-sync")
    try:
        done = subprocess.run(  # noqa: S603
            command,
            env=server_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            user=job.account.uid if job.account else None,
            group=job.account.gid if job.account else None,
            extra_groups=[] if job.account else None,
        )
    finally:
        password_file.unlink(missing_ok=True)
    if done.returncode != 0:
        raise StartFailedError(f"initdb ended with {done.returncode}: {done.stderr.strip()}")
    (directory / "password").unlink(missing_ok=True)
    _write_private(directory / "password", password)
    unfinished.rename(directory / "data")


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _clear_remains(data: Path) -> None:
    """End a server without supervisor; remove a dead one's lock file whose process id is in use again."""
    lock_file = data / "postmaster.pid"
    try:
        pid = int(lock_file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    for signal_number, seconds in ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0)):
        if _runs_in(pid, data):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_number)
            if _ended_within(pid, data, seconds):
                return
    if _is_alive(pid) and not _runs_in(pid, data):
        lock_file.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _ended_within(pid: int, data: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _runs_in(pid, data):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _runs_in(pid: int, data: Path) -> bool:
    """Whether the process is a PostgreSQL server of this data directory."""
    if Path("/proc/self/cmdline").exists():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return False
    else:
        shown = subprocess.run(  # noqa: S603
            ["/bin/ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        command = shown.stdout
    return f"-D {data} " in command


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _preferred_port(job: Job, directory: Path) -> int:
    """The wanted port, else the one of the last time if it is free: other terminals keep a URL that works."""
    if job.port is not None:
        return job.port
    try:
        port = int((directory / "port").read_text())
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except (OSError, ValueError, OverflowError):
        return _free_port()
    return port


def _settings(job: Job, port: int) -> dict[str, str]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    if not job.durable:
        # mmap keeps the dynamic shared memory inside the data directory: it goes when the directory goes,
        # also after a SIGKILL of the server.
        settings |= {
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "dynamic_shared_memory_type": "mmap",
        }
    return settings | job.options | {"port": str(port)}


def _end_with_parent(parent: int) -> None:
    """Between fork and exec, on Linux: a supervisor that is killed takes its server with it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))
        if os.getppid() != parent:
            os._exit(1)


def _launch(job: Job, directory: Path, port: int) -> subprocess.Popen[bytes]:
    parent = os.getpid()
    command = [f"{job.binaries}/postgres", "-D", str(directory / "data")]
    command += [f"-c{name}={value}" for name, value in _settings(job, port).items()]
    with (directory / "postgres.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            command,
            env=server_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: _end_with_parent(parent),  # noqa: PLW1509  (one thread so far)
            user=job.account.uid if job.account else None,
            group=job.account.gid if job.account else None,
            extra_groups=[] if job.account else None,
        )


def _is_ready(data: Path, pid: int) -> bool:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        return int(lines[0]) == pid and lines[7].strip() == "ready"
    except (OSError, ValueError, IndexError):
        return False


def _start(job: Job, directory: Path) -> subprocess.Popen[bytes]:
    """Start the server and wait until it takes connections."""
    log_path, said = directory / "postgres.log", ""
    port = _preferred_port(job, directory)
    for _ in range(_START_ATTEMPTS):
        log_start = log_path.stat().st_size if log_path.exists() else 0
        server = _launch(job, directory, port)
        deadline = time.monotonic() + _START_SECONDS
        while server.poll() is None:
            if _is_ready(directory / "data", server.pid):
                _publish(directory, server.pid, port)
                return server
            if time.monotonic() > deadline:
                server.send_signal(signal.SIGQUIT)
                server.wait()
            time.sleep(0.005)
        with log_path.open("rb") as log:
            log.seek(log_start)
            said = log.read().decode(errors="replace").strip()
        if job.port is None and any(text in said for text in _PORT_TAKEN):
            port = _free_port()
        elif any(text in said for text in _STILL_ENDING):
            time.sleep(0.2)
        else:
            break
    raise StartFailedError(f"postgres did not start: {said}")


def _publish(directory: Path, pid: int, port: int) -> None:
    (directory / "port").write_text(str(port))
    (directory / "server.json.new").write_text(json.dumps({"pid": pid, "port": port}))
    (directory / "server.json.new").rename(directory / "server.json")


def _stop_when_unused(server: subprocess.Popen[bytes], users: int) -> None:
    """Wait for the lock of all users, and keep it to the end: a newcomer waits until the server is down."""
    fcntl.flock(users, fcntl.LOCK_EX)
    for signal_number, seconds in ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 60.0)):
        server.send_signal(signal_number)
        try:
            server.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
        return


def supervise(job: Job) -> int:
    """Run the server of a directory until nobody uses it; returns the exit status of this process."""
    directory = Path(job.directory)
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    try:
        _clear_remains(directory / "data")
        if not (directory / "data").exists():
            _initialise(job, directory)
        server = _start(job, directory)
    except (StartFailedError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    signal.signal(signal.SIGTERM, lambda _signal, _frame: server.send_signal(signal.SIGINT))
    users = os.open(directory / "users.lock", os.O_RDWR)
    guard = threading.Thread(target=_stop_when_unused, args=(server, users), daemon=True)
    guard.start()
    server.wait()
    (directory / "server.json").unlink(missing_ok=True)
    if job.remove and _is_unused(users):
        shutil.rmtree(directory, ignore_errors=True)
    return 0


def _is_unused(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    status = supervise(Job.from_json(sys.argv[1]))
    sys.stderr.flush()
    # The guard thread may still wait for a lock; the interpreter's own end would gain nothing here.
    os._exit(status)
