"""Tables of medians and ratios, and the JSON file with every value."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.goals import GOALS, Series, middle

BASE = "horsies"
TITLES = {
    "drain": "drain: a burst to a warm idle worker (floor: one connection, claim + finish without a body)",
    "enqueue": "enqueue, no worker (floor: psycopg, one insert per commit; one insert of all rows)",
    "latency": "latency on an idle worker (floor: NOTIFY to another process; body = insert + NOTIFY)",
    "workflows": "workflows: chain of 10, fan of 100 and its join, 200 chains of 5; server CPU of wide and narrow fans",
    "imports": "import above an empty program",
    "size": "installed size with dependencies",
    "recycling": "latency to the body on an idle worker, without and with executors replaced every 50 tasks",
    "growth": "growth: drains beside finished rows, pending rows, an open snapshot, and (horsies) in a new database",
    "idle": "idle worker",
}
FEWER_IS_BETTER = ("_ms", "_us_", "_mb", "cpu", "requests", "connections")


@dataclass(slots=True)
class Results:
    """Everything measured so far."""

    facts: dict[str, object]
    series: dict[str, dict[str, dict[str, list[float]]]] = field(
        default_factory=dict[str, dict[str, dict[str, list[float]]]]
    )
    problems: list[str] = field(default_factory=list[str])

    def add(self, measure: str, system: str, values: Mapping[str, float | None]) -> None:
        metrics = self.series.setdefault(measure, {}).setdefault(system, {})
        for metric, value in values.items():
            if value is not None:
                metrics.setdefault(metric, []).append(value)

    def add_series(self, measure: str, figures: Mapping[str, Mapping[str, list[float]]]) -> None:
        """What a measure with rounds of its own has found."""
        for system, metrics in figures.items():
            for metric, values in metrics.items():
                self.series.setdefault(measure, {}).setdefault(system, {}).setdefault(metric, []).extend(
                    values
                )

    def add_all(
        self, measure: str, figures: Mapping[str, Mapping[str, float | None]], problems: Sequence[str]
    ) -> None:
        for system, values in figures.items():
            self.add(measure, system, values)
        said = (f"{measure}, {problem}" for problem in problems)
        self.problems += [problem for problem in said if problem not in self.problems]

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        medians = {
            measure: {
                system: {metric: middle(self.series, measure, system, metric) for metric in metrics}
                for system, metrics in systems.items()
            }
            for measure, systems in self.series.items()
        }
        goals = [
            {
                "goal": goal.text,
                "bound": goal.bound,
                "at_least": goal.at_least,
                "value": goal.value(self.series),
            }
            for goal in GOALS
        ]
        whole = {
            "facts": self.facts,
            "medians": medians,
            "goals": goals,
            "runs": self.series,
            "problems": self.problems,
        }
        path.write_text(json.dumps(whole, indent=2) + "\n")


def show(results: Results) -> None:
    """Print all tables."""
    for measure, systems in results.series.items():
        _table(TITLES[measure], *_measure_rows(results.series, measure, systems))
    rows: list[list[str]] = []
    for goal in GOALS:
        if (value := goal.value(results.series)) is not None:
            sign = ">=" if goal.at_least else "<="
            rows.append(
                [goal.text, f"{sign} {goal.bound:g}", figure(value), "met" if goal.met(value) else "MISSED"]
            )
    if rows:
        _table("goals", ["", "goal", "measured", ""], rows)
    for problem in results.problems:
        print(f"not measured: {problem}")


def _measure_rows(
    series: Series, measure: str, systems: Mapping[str, Mapping[str, list[float]]]
) -> tuple[list[str], list[list[str]]]:
    """One row per system; beside each median, in brackets, how many times better horsies is."""
    metrics = list(dict.fromkeys(metric for values in systems.values() for metric in values))
    rows: list[list[str]] = []
    for system in systems:
        row = [system]
        for metric in metrics:
            value = middle(series, measure, system, metric)
            base = middle(series, measure, BASE, metric)
            cell = "-" if value is None else figure(value)
            if value and base and system != BASE:
                fewer = any(part in metric for part in FEWER_IS_BETTER)
                cell += f" ({figure(value / base if fewer else base / value)}x)"
            row.append(cell)
        rows.append(row)
    return ["", *(metric.replace("_", " ") for metric in metrics)], rows


def figure(value: float) -> str:
    """Three significant digits, no exponent."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 1 or value == 0 else f"{value:.3f}"


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
    except ImportError:  # rich comes with the command line packages, not with the core
        _plain_table(title, header, rows)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for n, name in enumerate(header):
        table.add_column(name, justify="right" if n else "left", no_wrap=not n)
    for row in rows:
        table.add_row(*row)
    console = Console(width=None if Console().is_terminal else 200)
    console.print(f"\n[bold]{title}[/bold]")
    console.print(table)


def _plain_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[n]) for row in [header, *rows]) for n in range(len(header))]
    print(f"\n{title}")
    for row in [header, *rows]:
        cells = (
            cell.rjust(w) if n else cell.ljust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(cells))
