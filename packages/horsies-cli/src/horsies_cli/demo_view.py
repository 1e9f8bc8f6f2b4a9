"""How `horsies demo` looks: a list of steps that fills while it runs, and a summary."""

import statistics
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from horsies_cli.demo_steps import Tally

_ACCENT = "cyan"


class DemoView:
    """The steps on a console; as a context manager it is live for the time of the block."""

    def __init__(self, console: Console, titles: Sequence[str]) -> None:
        self._titles = titles
        self._done: list[tuple[bool, str, float]] = []
        self._progress: tuple[int, int] | None = None
        self._started = time.perf_counter()
        self._spinner = Spinner("dots", style=_ACCENT)
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=12)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def finish_step(self, succeeded: bool, detail: str) -> None:
        """The current step ended; the next one begins."""
        now = time.perf_counter()
        self._done.append((succeeded, detail, now - self._started))
        self._progress = None
        self._started = now

    def progress(self, done: int, total: int) -> None:
        """How far the current step is."""
        self._progress = (done, total)

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(width=1)
        table.add_column(no_wrap=True)
        table.add_column(ratio=1)
        table.add_column(justify="right", no_wrap=True)
        for title, (succeeded, detail, seconds) in zip(self._titles, self._done, strict=False):
            mark = Text("✓", style="bold green") if succeeded else Text("✗", style="bold red")
            name = Text(title, style="" if succeeded else "red")
            table.add_row(mark, name, Text(detail, style="dim" if succeeded else "red"), f"{seconds:.2f} s")
        if len(self._done) < len(self._titles) and all(succeeded for succeeded, _, _ in self._done):
            table.add_row(
                self._spinner, Text(self._titles[len(self._done)], style=f"bold {_ACCENT}"), self._bar(), ""
            )
        return Group(Text(), table, Text())

    def _bar(self) -> RenderableType:
        if self._progress is None:
            return Text()
        done, total = self._progress
        return ProgressBar(total=total, completed=done, width=40, complete_style=_ACCENT)


def summary(tally: Tally, seconds: float, server: str) -> RenderableType:
    """The figures of a run that went as it should."""
    times = sorted(tally.round_trips_ms)
    left, right = _figures(), _figures()
    left.add_row("tasks", f"{tally.tasks:,}")
    left.add_row("completed", f"[green]{tally.completed:,}[/]")
    left.add_row("failed as intended", f"[yellow]{tally.failed:,}[/]")
    left.add_row("expired as intended", f"[yellow]{tally.expired:,}[/]")
    right.add_row("round trip, median", f"{statistics.median(times):.1f} ms")
    right.add_row("round trip, 95 %", f"{times[int(len(times) * 0.95)]:.1f} ms")
    right.add_row("sent in bulk", f"{tally.sent_per_second:,.0f} tasks/s")
    right.add_row("done in bulk", f"{tally.done_per_second:,.0f} tasks/s")
    columns = Table.grid(padding=(0, 6))
    columns.add_row(left, right)
    return Panel(
        columns,
        title=f"[bold]everything as expected[/] in {seconds:.1f} s",
        subtitle=f"[dim]{server}, one worker, two processes[/]",
        border_style="green",
        padding=(1, 2),
        expand=False,
    )


def _figures() -> Table:
    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim")
    table.add_column(justify="right", style="bold")
    return table
