"""A record of every task that got into the database, kept apart from what guards against doubles."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

SECOND = timedelta(seconds=1)

_RECORD = """
create table public.audit (kwargs text, slot timestamptz, at timestamptz);
create function public.audit() returns trigger language plpgsql as $$ begin
    insert into public.audit values (new.kwargs, new.sent_at, new.enqueued_at);
    return null;
end $$;
create trigger audit after insert on horsies.tasks for each row execute function public.audit();
"""


class Audit:
    """Records inserts into `tasks`; the record has no key, so a slot that fires twice is there twice."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.Connection[dict[str, Any]].connect(
            url, autocommit=True, row_factory=dict_row
        )
        self._connection.execute(_RECORD.encode())

    def close(self) -> None:
        self._connection.close()

    def forget_tasks(self) -> None:
        """Remove the tasks, as if they had ended long ago: their ids guard nothing any more (S-045)."""
        self._connection.execute("delete from horsies.tasks")

    def slots(self) -> dict[str, list[datetime]]:
        """The slots fired so far by the arguments they were fired with, ascending."""
        found: dict[str, list[datetime]] = defaultdict(list)
        for row in self._connection.execute("select * from public.audit order by slot"):
            found[row["kwargs"]].append(row["slot"])
        return found

    def latest(self) -> timedelta:
        """How late the latest was."""
        row = self._connection.execute("select max(at - slot) as late from public.audit").fetchone()
        assert row is not None
        late: timedelta = row["late"]
        return late

    def schedules(self) -> list[dict[str, Any]]:
        """The rows of the schedules, by name."""
        return self._connection.execute("select * from horsies.schedules order by name").fetchall()


def once(slots: list[datetime]) -> bool:
    """Whether no slot is there twice."""
    return len(slots) == len(set(slots))


def every_second(slots: list[datetime]) -> bool:
    """Whether each second from the first to the last slot is there exactly once."""
    return slots == [slots[0] + SECOND * n for n in range(len(slots))]
