# The getting-started of the seed documents, as the reader types it.
from horsies import AppConfig, Horsies, PostgresConfig, TaskError, TaskResult

config = AppConfig(
    broker=PostgresConfig(
        database_url="postgresql+psycopg://user:password@localhost:5432/mydb",
    ),
)

app = Horsies(config)


@app.task("add_numbers")
def add_numbers(a: int, b: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=a + b)


@app.task("process_data")
def process_data(data: dict) -> TaskResult[str, TaskError]:  # type: ignore[type-arg]
    if not data:
        return TaskResult(
            err=TaskError(
                error_code="EMPTY_DATA",
                message="Data cannot be empty",
            )
        )
    return TaskResult(ok=f"Processed {len(data)} items")


# Register task modules for worker discovery
app.discover_tasks(["instance"])
