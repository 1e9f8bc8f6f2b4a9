"""Running the workflows of apps/random_flows.py in worker processes."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tests.acceptance.fresh_module import fresh_module
from tests.acceptance.random_graphs import RandomGraph
from tests.helpers import RunningProcess, running_module

ROOT = Path(__file__).parent.parent.parent
APP = "tests.acceptance.apps.random_flows"


def imported() -> AbstractContextManager[Any]:
    """The module, made anew; it takes seeds and database from the environment."""
    return fresh_module(APP)


@contextmanager
def working(environment: Mapping[str, str], *, ready: bool = True) -> Generator[RunningProcess]:
    """A worker with two executors."""
    with running_module(
        "horsies_worker", f"{APP}:app", "--processes", "2", environment=environment, directory=ROOT
    ) as worker:
        if ready:
            worker.wait_for("ready:", 120)
        yield worker


def with_children(graphs: Iterable[RandomGraph]) -> Iterator[RandomGraph]:
    """Graphs and those below them."""
    for made in graphs:
        yield made
        yield from with_children(made.children.values())


def keys_with(graphs: Iterable[RandomGraph], *fates: str) -> set[str]:
    """What tasks of these fates note when they begin."""
    return {
        f"{made.path}.{name}"
        for made in with_children(graphs)
        for name, fate in made.fates.items()
        if fate in fates
    }
