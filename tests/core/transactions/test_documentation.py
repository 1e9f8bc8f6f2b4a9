"""The pages about sending in a transaction, as a reader would run them."""

from typing import Any

from tests.core.task_rows import TaskRows
from tests.core.transactions.callers import django_database
from tests.documents import run_python


def test_the_page_about_transactions(rows: TaskRows, database_url: str) -> None:
    """T-41: every example sends with its order."""
    with django_database(database_url):
        module = run_python("transactions.md", {"DATABASE_URL": database_url})
    app: Any = module["app"]
    app.get_broker().close()
    assert [row["number"] for row in rows.execute("select number from orders order by number")] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert [row["kwargs"] for row in rows.live()] == [f'{{"order":{n}}}' for n in range(1, 6)]
    assert [row["idempotency_key"] for row in rows.live()] == [None, None, "receipt-3", None, None]
