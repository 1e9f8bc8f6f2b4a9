"""The listening connection of a process (D-043 to D-047, R-123), on a real server."""

import asyncio
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest

from horsies.db.connect import OwnedConnection, connect
from horsies.db.listener import Listener, ListenerTimes, Subscription
from tests.core.db.network import line_to, refusing_port, silent_port, with_port
from tests.core.db.test_pool import Admin, backends, terminate
from tests.helpers import eventually, running

READY_S = 20.0
"""A wait that is over long before, unless something is broken."""
BRIEF_S = 0.05
"""A wait for something that must not come."""


@dataclass
class Connector:
    """Opens the listener's connections, to wherever `url` points at the moment."""

    url: str
    opened: int = 0

    def __call__(self) -> OwnedConnection:
        connection = connect(self.url, timeout=5.0, prepare=False)
        self.opened += 1
        return connection


@contextmanager
def listening(
    connector: Callable[[], OwnedConnection], times: ListenerTimes | None = None
) -> Generator[Listener]:
    listener = Listener(connector, times=times)
    try:
        yield listener
    finally:
        listener.close()


@pytest.fixture
def url(empty_database_url: str) -> str:
    return empty_database_url


@pytest.fixture
def sender(url: str) -> Generator[Admin]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def notify(sender: Admin, channel: str, payload: str = "") -> None:
    sender.execute("select pg_notify(%s, %s)", [channel, payload])


def listeners(admin: Admin, url: str, sender: Admin) -> set[int]:
    return backends(admin, url) - {sender.info.backend_pid}


def last_statement(admin: Admin, pid: int) -> str:
    row = admin.execute("select query from pg_stat_activity where pid = %s", [pid]).fetchone()
    assert row is not None
    return str(row[0])


def test_a_waiter_is_woken_for_its_own_id_only(url: str, sender: Admin) -> None:
    # D-043
    with listening(Connector(url)) as listener:
        mine, other, every = (listener.subscribe("s:task_done", key) for key in ("a", "b", None))
        elsewhere = listener.subscribe("s:workflow_done", "a")
        assert all(one.wait_ready(READY_S) for one in (mine, other, every, elsewhere))
        notify(sender, "s:task_done", "a")
        assert mine.wait(READY_S)
        assert every.wait(READY_S)
        assert not mine.wait(BRIEF_S)
        assert not every.wait(0)
        assert not other.wait(0)
        assert not elsewhere.wait(0)


async def test_the_same_in_an_event_loop_without_a_thread_of_its_own(url: str, sender: Admin) -> None:
    # D-043
    with listening(Connector(url)) as listener:
        mine, other = listener.subscribe("s:task_done", "a"), listener.subscribe("s:task_done", "b")
        assert await mine.wait_ready_async(READY_S)
        assert await other.wait_ready_async(READY_S)
        threads = set(threading.enumerate())
        waiting = asyncio.create_task(mine.wait_async(READY_S))
        await asyncio.sleep(0)
        notify(sender, "s:task_done", "a")
        assert await waiting
        assert not await mine.wait_async(BRIEF_S)
        assert not await other.wait_async(0)
        assert set(threading.enumerate()) == threads


def test_one_connection_and_one_thread_for_any_number_of_waiters(
    url: str, sender: Admin, admin_connection: Admin
) -> None:
    # D-043, CF-25
    before = threading.active_count()
    connector = Connector(url)
    with listening(connector) as listener:
        assert threading.active_count() == before
        assert listeners(admin_connection, url, sender) == set()
        waiters = [listener.subscribe("s:task_done", str(number)) for number in range(2000)]
        assert all(one.wait_ready(READY_S) for one in waiters)
        assert threading.active_count() == before + 1
        assert len(listeners(admin_connection, url, sender)) == connector.opened == 1
        notify(sender, "s:task_done", "1234")
        assert waiters[1234].wait(READY_S)
        assert [one.key for one in waiters if one.wait(0)] == []
    eventually(lambda: threading.active_count() == before)
    eventually(lambda: listeners(admin_connection, url, sender) == set())


def test_ready_means_nothing_is_missed(url: str, sender: Admin) -> None:
    # D-047: what is announced right after wait_ready arrives
    with listening(Connector(url), ListenerTimes(unlisten=0.0)) as listener:
        for number in range(30):
            with listener.subscribe(f"s:{number % 3}", str(number)) as one:
                assert one.wait_ready(READY_S)
                assert one.ready
                notify(sender, f"s:{number % 3}", str(number))
                assert one.wait(READY_S)


def test_a_message_before_the_wait_is_not_lost(url: str, sender: Admin) -> None:
    with listening(Connector(url)) as listener:
        first, barrier = listener.subscribe("s:x", "1"), listener.subscribe("s:x", "2")
        assert first.wait_ready(READY_S)
        assert barrier.wait_ready(READY_S)
        notify(sender, "s:x", "1")
        notify(sender, "s:x", "2")
        assert barrier.wait(READY_S)
        assert first.wait(0)
        assert not first.wait(0)


def test_ready_covers_what_came_before(url: str) -> None:
    # The wake-up of the LISTEN itself is no news to somebody who reads only afterwards.
    with listening(Connector(url)) as listener:
        one = listener.subscribe("s:x", "1")
        eventually(lambda: one.ready)
        assert one.wait_ready(READY_S)
        assert not one.wait(BRIEF_S)


def test_names_with_anything_in_them(url: str, sender: Admin) -> None:
    # D-005
    names = ['s:q:"quoted"', "s:q:it's", "s:q:a b;c.d--", "s:q:Größe 長い", "S:Q:upper"]
    with listening(Connector(url)) as listener:
        subscriptions = [listener.subscribe(name) for name in names]
        for one in subscriptions:
            assert one.wait_ready(READY_S)
            notify(sender, one.channel, "größer")
            assert one.wait(READY_S)


def test_listen_ends_with_the_last_subscription(url: str, sender: Admin, admin_connection: Admin) -> None:
    # D-045
    with listening(Connector(url), ListenerTimes(unlisten=0.0)) as listener:
        stays = listener.subscribe("s:stays")
        first, second = listener.subscribe("s:x", "1"), listener.subscribe("s:x", "2")
        assert all(one.wait_ready(READY_S) for one in (stays, first, second))
        (pid,) = listeners(admin_connection, url, sender)
        first.close()
        first.close()
        notify(sender, "s:x", "2")
        assert second.wait(READY_S)
        assert not last_statement(admin_connection, pid).startswith("unlisten")
        second.close()
        eventually(lambda: last_statement(admin_connection, pid) == 'unlisten "s:x"')
        assert not second.ready
        assert stays.ready
        again = listener.subscribe("s:x", "1")
        assert again.wait_ready(READY_S)
        assert last_statement(admin_connection, pid) == 'listen "s:x"'


async def test_listen_ends_when_the_waiter_was_cancelled(
    url: str, sender: Admin, admin_connection: Admin
) -> None:
    # D-045
    with listening(Connector(url), ListenerTimes(unlisten=0.0)) as listener:

        async def wait() -> None:
            with listener.subscribe("s:x", "1") as one:
                await one.wait_ready_async(READY_S)
                ready.set()
                await one.wait_async(READY_S)

        ready = asyncio.Event()
        waiting = asyncio.create_task(wait())
        await ready.wait()
        (pid,) = listeners(admin_connection, url, sender)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        eventually(lambda: last_statement(admin_connection, pid) == 'unlisten "s:x"')


def test_a_subscription_to_what_is_not_listened_to_any_more(url: str) -> None:
    # D-045: while the LISTEN of an ended subscription lingers, the next one is ready at once
    connector = Connector(url)
    with listening(connector, ListenerTimes(unlisten=100.0)) as listener:
        with listener.subscribe("s:x") as one:
            assert one.wait_ready(READY_S)
        with listener.subscribe("s:x") as one:
            assert one.ready
        assert connector.opened == 1


def test_a_slow_consumer_loses_messages_not_memory(url: str, sender: Admin) -> None:
    # D-044
    with listening(Connector(url)) as listener:
        some, none = listener.subscribe("s:x", buffer=3), listener.subscribe("s:x")
        barrier = listener.subscribe("s:y")
        assert all(one.wait_ready(READY_S) for one in (some, none, barrier))
        for number in range(10):
            notify(sender, "s:x", str(number))
        notify(sender, "s:y")
        assert barrier.wait(READY_S)
        assert some.wait(0)
        assert some.drain() == ["7", "8", "9"]
        assert some.drain() == []
        assert none.wait(0)
        assert not none.wait(0)
        assert none.drain() == []


def test_reconnects_and_wakes_every_waiter(url: str, sender: Admin, admin_connection: Admin) -> None:
    # D-046, R-123
    connector = Connector(url)
    with listening(connector) as listener:
        waiters = [listener.subscribe(f"s:{number}", "x") for number in range(3)]
        assert all(one.wait_ready(READY_S) for one in waiters)
        (pid,) = listeners(admin_connection, url, sender)
        terminate(admin_connection, pid)
        for one in waiters:
            assert one.wait(READY_S)
            assert one.ready
            assert not one.wait(BRIEF_S)
        assert listener.connected
        assert connector.opened == 2
        for one in waiters:
            notify(sender, one.channel, "x")
            assert one.wait(READY_S)


async def test_a_reconnect_wakes_event_loops_too(url: str, sender: Admin, admin_connection: Admin) -> None:
    # D-046
    with listening(Connector(url)) as listener:
        one = listener.subscribe("s:x", "1")
        assert await one.wait_ready_async(READY_S)
        (pid,) = listeners(admin_connection, url, sender)
        waiting = asyncio.create_task(one.wait_async(READY_S))
        await asyncio.to_thread(terminate, admin_connection, pid)
        assert await waiting


def test_silence_is_tested_by_a_round_trip(url: str, sender: Admin) -> None:
    # D-046: the line goes dead without a word; nobody would ever hear of it
    times = ListenerTimes(silence=0.1, answer=0.3, backoff_first=0.01)
    with line_to(url) as line:
        connector = Connector(line.url)
        with listening(connector, times) as listener:
            one = listener.subscribe("s:x", "1")
            assert one.wait_ready(READY_S)
            line.cut()
            assert one.wait(READY_S)
            eventually(lambda: one.ready)
            notify(sender, "s:x", "1")
            assert one.wait(READY_S)
            assert connector.opened >= 2


def test_silence_alone_is_no_reason_to_reconnect(url: str, sender: Admin, admin_connection: Admin) -> None:
    # D-046
    connector = Connector(url)
    with listening(connector, ListenerTimes(silence=0.01)) as listener:
        one = listener.subscribe("s:x", "1")
        assert one.wait_ready(READY_S)
        (pid,) = listeners(admin_connection, url, sender)
        eventually(lambda: last_statement(admin_connection, pid) == "")  # the round trip says nothing
        assert listeners(admin_connection, url, sender) == {pid}
        assert connector.opened == 1
        notify(sender, "s:x", "1")
        assert one.wait(READY_S)


def test_without_a_server_waiters_are_told_to_poll(url: str, sender: Admin) -> None:
    # D-046, T-71 ff. (a get polls every second then): known at once, and over when the server is there
    with refusing_port() as port:
        connector = Connector(with_port(url, port))
        with listening(connector, ListenerTimes(backoff_first=0.01, backoff_last=0.02)) as listener:
            first = listener.subscribe("s:x", "1")
            assert not first.wait_ready(READY_S)
            assert not first.connected
            second = listener.subscribe("s:x", "1")
            assert not second.wait_ready(READY_S)
            assert not first.wait(BRIEF_S)
            connector.url = url
            assert first.wait(READY_S)
            assert second.wait(READY_S)
            assert first.connected
            assert first.wait_ready(READY_S)
            notify(sender, "s:x", "1")
            assert second.wait(READY_S)


async def test_without_a_server_in_an_event_loop(url: str) -> None:
    # D-046
    with refusing_port() as port, listening(Connector(with_port(url, port))) as listener:
        one = listener.subscribe("s:x", "1")
        assert not await one.wait_ready_async(READY_S)
        assert not await one.wait_async(BRIEF_S)


def test_a_server_that_never_answers_delays_nobody_for_longer_than_asked(url: str) -> None:
    with silent_port() as port:

        def slow() -> OwnedConnection:
            return connect(with_port(url, port), timeout=0.5, prepare=False)

        with listening(slow) as listener:
            one = listener.subscribe("s:x", "1")
            assert not one.wait_ready(BRIEF_S)
            assert not one.connected
            assert not one.wait(0)


def test_an_unused_connection_is_given_up(url: str, sender: Admin, admin_connection: Admin) -> None:
    # D-043: only what waits costs a connection
    before = threading.active_count()
    connector = Connector(url)
    with listening(connector, ListenerTimes(linger=0.0)) as listener:
        for number in (1, 2):
            with listener.subscribe("s:x", "1") as one:
                assert one.wait_ready(READY_S)
                assert connector.opened == number
            eventually(lambda: listeners(admin_connection, url, sender) == set())
            eventually(lambda: threading.active_count() == before)
            assert not listener.connected


def test_close_wakes_waiters_and_is_final(url: str) -> None:
    listener = Listener(Connector(url))
    one = listener.subscribe("s:x", "1")
    assert one.wait_ready(READY_S)
    listener.close()
    assert one.wait(0)
    assert not one.ready
    assert not one.connected
    one.close()
    listener.close()
    with pytest.raises(psycopg.InterfaceError, match="closed"):
        listener.subscribe("s:x")


def test_subscriptions_come_and_go_in_many_threads(url: str, sender: Admin) -> None:
    # D-045, D-047: under constant change every one is ready and hears its own message
    failures: list[object] = []

    def work(number: int) -> None:
        with psycopg.connect(url, autocommit=True) as own:
            for turn in range(25):
                with listener.subscribe(f"s:{turn % 4}", f"{number}.{turn}") as one:
                    if not one.wait_ready(READY_S):
                        failures.append(("ready", number, turn))
                    notify(own, one.channel, f"{number}.{turn}")
                    if not one.wait(READY_S):
                        failures.append(("wait", number, turn))

    with listening(Connector(url), ListenerTimes(unlisten=0.0, linger=0.0)) as listener:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_a_waiter_in_a_closed_loop_does_not_disturb_the_others(url: str, sender: Admin) -> None:
    with listening(Connector(url)) as listener:
        one, other = listener.subscribe("s:x", "1"), listener.subscribe("s:x", "1")
        assert one.wait_ready(READY_S)
        assert other.wait_ready(READY_S)
        loop = asyncio.new_event_loop()
        abandoned = loop.create_task(one.wait_async(READY_S))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        notify(sender, "s:x", "1")
        assert other.wait(READY_S)
        assert listener.connected
        abandoned_coroutine = abandoned.get_coro()
        assert abandoned_coroutine is not None
        abandoned_coroutine.close()


_FORK = """
import os, sys, warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", category=DeprecationWarning)  # forking with threads: what is tested here
import psycopg
from horsies.db.connect import connect
from horsies.db.listener import Listener

def heard(one):
    assert one.wait_ready(20)
    with psycopg.connect(sys.argv[1], autocommit=True) as sender:
        sender.execute("select pg_notify('s:x', %s)", [one.key])
    return one.wait(20)

listener = Listener(lambda: connect(sys.argv[1], timeout=5, prepare=False))
parents = listener.subscribe("s:x", "parent")
assert heard(parents)
child = os.fork()
if not child:
    assert not listener.connected and not parents.ready and not parents.wait(0)
    parents.close()
    own = listener.subscribe("s:x", "child")
    assert heard(own)
    listener.close()
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert parents.ready and not parents.wait(0)
assert heard(parents) and not parents.wait(0)
listener.close()
print("parent fine", flush=True)
"""


def test_a_forked_child_has_a_listener_of_its_own(empty_database_url: str) -> None:
    # CF-40: the parent's goes on, without even a reconnection
    with running([sys.executable, "-c", _FORK, empty_database_url]) as process:
        assert process.wait() == 0, process.output
        assert "parent fine" in process.stdout
        assert process.stderr == ""


def test_the_cost_of_a_message_does_not_grow_with_the_waiters(url: str, sender: Admin) -> None:
    # D-043: counted, not timed: one message touches one subscription of a thousand
    touched: list[str | None] = []

    class Counting(Subscription):
        def deliver(self, payload: str) -> None:
            touched.append(self.key)
            super().deliver(payload)

    with listening(Connector(url)) as listener, pytest.MonkeyPatch.context() as patch:
        patch.setattr("horsies.db.listener.Subscription", Counting)
        waiters = [listener.subscribe("s:x", str(number)) for number in range(1000)]
        assert all(one.wait_ready(READY_S) for one in waiters)
        notify(sender, "s:x", "77")
        assert waiters[77].wait(READY_S)
        assert touched == ["77"]
