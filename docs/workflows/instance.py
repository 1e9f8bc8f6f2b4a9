"""The app of the examples in this folder."""

import os

from horsies import AppConfig, Horsies, PostgresConfig

app = Horsies(
    AppConfig(
        broker=PostgresConfig(
            database_url=os.environ.get("DATABASE_URL", "postgresql://user:password@localhost:5432/mydb")
        )
    )
)

app.discover_tasks(
    [
        "linear",
        "fan_out",
        "diamond",
        "any_of",
        "quorum",
        "partial_success",
        "recovery",
        "subworkflow",
        "dynamic",
        "conditions",
        "fire_and_forget",
    ]
)
