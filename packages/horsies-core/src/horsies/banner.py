"""The banner that workers and schedulers print at start-up: what runs, with which configuration."""

from collections.abc import Iterable, Iterator

from horsies.config.app import AppConfig
from horsies.durations import format_milliseconds

_HORSE = """\
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
"""

_LOGO = r"""
    __                    _
   / /_  ____  __________(_)__  _____
  / __ \/ __ \/ ___/ ___/ / _ \/ ___/      vVERSION
 / / / / /_/ / /  (__  ) /  __(__  )       distributed task queue
/_/ /_/\____/_/  /____/_/\___/____/
"""


def build_banner(
    config: AppConfig,
    *,
    role: str,
    version: str,
    task_names: Iterable[str],
    app_name: str = "Horsies",
) -> str:
    """Write the start-up banner.

    Args:
        config: configuration of the application.
        role: `worker` or `scheduler`.
        version: version of horsies-core.
        task_names: names of the registered tasks.
        app_name: class name of the application object.

    Returns:
        The text with a line end after its last line; it holds no password.
    """
    names = sorted(task_names)
    sections = (
        _section("[config]", _config_items(config, role, app_name)),
        _section("[recovery]", _recovery_items(config)),
        "\n".join([f"[tasks] ({len(names)} registered)", *(f"  . {name}" for name in names)]),
    )
    return _HORSE + _LOGO.replace("VERSION", version) + "".join(f"\n{section}\n" for section in sections)


def _config_items(config: AppConfig, role: str, app_name: str) -> Iterator[tuple[str, str]]:
    broker = config.broker
    url, session_url = broker.shown_url(), broker.shown_url(session=True)
    yield "app", app_name
    yield "role", role
    yield "queue_mode", config.queue_mode.name
    yield "queues", ", ".join(config.queue_names)
    yield "broker", url
    if session_url != url:
        yield "broker_session", session_url
    yield "pgbouncer_tx", _yes_no(broker.pgbouncer_transaction_mode)
    if config.cluster_wide_cap is not None:
        yield "cap", f"{config.cluster_wide_cap} (cluster-wide)"
    if config.prefetch_buffer > 0:
        yield "prefetch", str(config.prefetch_buffer)


def _recovery_items(config: AppConfig) -> Iterator[tuple[str, str]]:
    recovery = config.recovery
    yield "requeue_stale_claimed", _yes_no(recovery.auto_requeue_stale_claimed)
    yield "fail_stale_running", _yes_no(recovery.auto_fail_stale_running)
    yield "check_interval", format_milliseconds(recovery.check_interval_ms)
    yield "heartbeat_interval", format_milliseconds(recovery.heartbeat_interval_ms)


def _section(title: str, items: Iterable[tuple[str, str]]) -> str:
    rows = list(items)
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join([title, *(f"  .> {f'{name}:':<{width}}{value}" for name, value in rows)])


def _yes_no(flag: bool) -> str:
    return "yes" if flag else "no"
