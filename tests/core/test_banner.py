"""The start-up banner (R-010)."""

import pytest

from horsies.banner import build_banner
from horsies.config import AppConfig, CustomQueueConfig, PostgresConfig, QueueMode, RecoveryConfig

GOLDEN = r"""
⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⢀⣤⣶⣾⣿⣿⣿⣿⣷⣯⡀⠀⠀⠀⠀⠀⠀
⠀ ⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⢀⣤⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣟⣿⣆⠀⠀⠀⠀
⠀ ⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⢀⣴⣿⣿⣿⣿⣿⣿⣿⣿⡟⠹⣿⣿⣿⣿⣿⣦⡀⠀⠀⠀
  ⠀⠀⠀⠀⠀⠀⠀⠀⢀⣀⣀⣀⣠⣴⣾⣿⣿⣿⣶⣶⣶⣤⣤⣤⣤⣤⣶⣾⣿⣿⣿⣿⣿⣿⣿⡟⠀⠀⠈⠉⠛⠻⡿⣿⣿⠂⠀
⠀⠀⢀⣀⠀⢀⣀⣠⣶⣿⣿⠟⢛⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⡟⡐⠀⠀⠀⠀⠀⠀⠈⠋⡿⠁⠀⠀
⠀⠀⠀⢹⣿⣿⣿⣿⣿⡿⠁⠀⢸⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣯⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀
⠀⠀⠀⠀⠛⠻⠿⠛⠉⠀⠀⠀⠈⢯⡻⣿⣿⣿⣿⣿⢿⣿⣿⣿⣿⣿⣿⡿⣿⣿⣿⣿⣿⣿⣿⣿⡿⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀
  ⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠻⣷⣿⣿⣿⡟⠀⠙⠻⠿⠿⣿⣿⠃⣿⣿⣿⣿⣿⣿⣿⣿⡁⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀
  ⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⢸⣿⣿⡿⠁⢀⠀⠀⠀⠀⠀⠂⠀⢿⣿⣿⣿⡍⠈⢁⣙⣿⢦⣄⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀
  ⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⢰⣿⣿⠏⠀⠀⣼⠀⠀⠀⠀⠀⠀⠀⠀⠙⢿⣿⣷⠀⠀⠀⠀⠁⣿⡇⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀
⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠈⠻⣿⣧⣀⢄⣿⡀⠀⠀⠀⠀⠀⠀⠀⠀⠈⢻⣿⣧⠀⠀⢀⣼⡟⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀
⠀⠀⠀⣀⠀⠀⠀⢀⡀⠀⠀⠀⡀⠀⠀⠀⣀⠛⣿⣷⣍⠛⣦⡀⠀⠂⢠⣷⣶⣾⡿⠟⠛⢃⠀⢠⣾⡟⠀⠀⠀⠀⡀⠀⠀⠀⡀⠀⠀⠀
⠄⡤⠦⠤⠤⢤⡤⠡⠤⠤⢤⠬⠤⠤⠤⢤⠅⠀⠤⣿⣷⠄⠎⢻⣤⡦⠄⠀⠤⢵⠄⠠⠤⠬⣾⠏⠁⠀⠥⡤⠄⠠⠬⢦⡤⠀⠠⠵⢤⠠
⠚⠒⠒⠒⡶⠚⠒⠒⠒⡰⠓⠒⠒⠒⢲⠓⠒⠒⠒⢻⠿⠀⠀⠚⢿⡷⠐⠒⠒⠚⡆⠒⠒⠒⠚⣖⠒⠒⠒⠚⢶⠒⠒⠒⠚⢶⠂⠐⠒⠛

    __                    _
   / /_  ____  __________(_)__  _____
  / __ \/ __ \/ ___/ ___/ / _ \/ ___/      v0.1.0
 / / / / /_/ / /  (__  ) /  __(__  )       distributed task queue
/_/ /_/\____/_/  /____/_/\___/____/

[config]
  .> app:          Horsies
  .> role:         worker
  .> queue_mode:   CUSTOM
  .> queues:       high, normal, low
  .> broker:       postgresql+psycopg://postgres:****@localhost:5432/horsies
  .> pgbouncer_tx: no
  .> cap:          50 (cluster-wide)

[recovery]
  .> requeue_stale_claimed: yes
  .> fail_stale_running:    yes
  .> check_interval:        30s
  .> heartbeat_interval:    30s

[tasks] (3 registered)
  . high_priority_compute
  . low_priority_compute
  . normal_priority_compute
"""[1:]


@pytest.fixture(autouse=True)
def _no_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HORSIES_DEV", raising=False)


def seed_config() -> AppConfig:
    return AppConfig(
        broker=PostgresConfig(database_url="postgresql+psycopg://postgres:hunter2@localhost:5432/horsies"),
        queue_mode=QueueMode.CUSTOM,
        custom_queues=[
            CustomQueueConfig(name=name, priority=n) for n, name in enumerate(("high", "normal", "low"), 1)
        ],
        cluster_wide_cap=50,
    )


def test_the_whole_banner() -> None:
    """R-010: a worker with three queues and a cap."""
    names = ["low_priority_compute", "normal_priority_compute", "high_priority_compute"]
    assert build_banner(seed_config(), role="worker", version="0.1.0", task_names=names) == GOLDEN


def lines_of(config: AppConfig, role: str = "scheduler", app_name: str = "Horsies") -> list[str]:
    text = build_banner(config, role=role, version="1.2.3", task_names=(), app_name=app_name)
    return text.splitlines()


def test_a_banner_with_everything_set() -> None:
    """R-010: session URL, pooler, prefetch, durations; no password."""
    config = AppConfig(
        broker=PostgresConfig(
            database_url="postgresql://app:hunter2@pooler:6432/jobs",
            session_database_url="postgresql://app:hunter3@db:5432/jobs",
            pgbouncer_transaction_mode=True,
        ),
        prefetch_buffer=4,
        claim_lease_ms=60_000,
        recovery=RecoveryConfig(
            auto_requeue_stale_claimed=False,
            auto_fail_stale_running=False,
            check_interval_ms=150_000,
            runner_heartbeat_interval_ms=1_500,
        ),
    )
    lines = lines_of(config, app_name="ShopHorsies")
    assert any("v1.2.3" in line for line in lines)
    assert lines[lines.index("[config]") :] == [
        "[config]",
        "  .> app:            ShopHorsies",
        "  .> role:           scheduler",
        "  .> queue_mode:     DEFAULT",
        "  .> queues:         default",
        "  .> broker:         postgresql://app:****@pooler:6432/jobs",
        "  .> broker_session: postgresql://app:****@db:5432/jobs",
        "  .> pgbouncer_tx:   yes",
        "  .> prefetch:       4",
        "",
        "[recovery]",
        "  .> requeue_stale_claimed: no",
        "  .> fail_stale_running:    no",
        "  .> check_interval:        2m30s",
        "  .> heartbeat_interval:    1.5s",
        "",
        "[tasks] (0 registered)",
    ]


def test_an_equal_session_url_is_not_repeated() -> None:
    """R-010."""
    url = "postgresql://app:hunter2@db/jobs"
    config = AppConfig(broker=PostgresConfig(database_url=url, session_database_url=url))
    assert not any("broker_session" in line for line in lines_of(config))


def test_under_dev_the_banner_names_the_database_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """C-071, R-010."""
    monkeypatch.setenv("HORSIES_DEV", "1")
    monkeypatch.setenv("HORSIES_DATABASE_URL", "postgresql://dev:hunter4@127.0.0.1:7777/postgres")
    lines = lines_of(seed_config())
    assert "postgresql://dev:****@127.0.0.1:7777/postgres" in "\n".join(lines)
    assert not any("localhost:5432" in line or "hunter" in line for line in lines)
