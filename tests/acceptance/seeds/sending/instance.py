# What the page "Sending tasks" of the seed documents takes for granted, and its module-level send.
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from horsies import AppConfig, Horsies, PostgresConfig, TaskError, TaskResult

config = AppConfig(
    resend_on_transient_err=True,
    broker=PostgresConfig(database_url="postgresql+psycopg://user:password@localhost:5432/mydb"),
)
app = Horsies(config)
app.discover_tasks(["instance"])


class Order(BaseModel):
    id: int
    items: list[str]


@dataclass
class Address:
    street: str


@app.task("my_task")
def my_task(first: str, second: str, key: str = "none") -> TaskResult[str, TaskError]:
    return TaskResult(ok=f"{first} {second} {key}")


@app.task("process")
def process(data: dict[str, Any], items: list[int]) -> TaskResult[int, TaskError]:
    return TaskResult(ok=len(data) + len(items))


@app.task("process_order")
def process_order(order: Order) -> TaskResult[str, TaskError]:
    return TaskResult(ok=f"{type(order).__name__} {order.id} {order.items}")


@app.task("ship")
def ship(address: Address) -> TaskResult[str, TaskError]:
    return TaskResult(ok=f"{type(address).__name__} {address.street}")


# Wrong - returns Err(TaskSendError(SEND_SUPPRESSED)) during worker import
result = my_task.send("at", "import")
print("module-level send:", result)
