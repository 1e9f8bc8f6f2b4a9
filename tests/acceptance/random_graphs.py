"""Random workflows with the fate of every node, the same in every process that makes them from the same seed."""

import random
from dataclasses import dataclass, field
from typing import Literal

from tests.core.workflow_engine.engine import N
from tests.core.workflow_engine.model import Graph

type Fate = Literal["ok", "fail", "again", "die", "stubborn"]
"""What a task does: `again` fails once and is retried, `die` takes its process along, `stubborn` is retried when its
worker crashes."""

type StepFate = Literal["go", "skip", "break"]
"""What a prepare step comes to; `break`: a condition raises, or the child cannot be built."""

DEEPEST = 2


@dataclass(frozen=True)
class Shape:
    """What random graphs are like: nodes at the top, chances of fates, whether there are children."""

    sizes: tuple[int, int]
    fates: dict[Fate, int]
    has_children: bool = True


SHAPES: dict[str, Shape] = {
    "mixed": Shape((1, 40), {"ok": 80, "fail": 14, "again": 5, "die": 1}),
    "twenty": Shape((20, 20), {"ok": 75, "fail": 5, "stubborn": 20}, has_children=False),
}


@dataclass(eq=False)
class RandomGraph:
    """A graph with what happens in it; `path` tells it from all others."""

    path: str
    graph: Graph
    fates: dict[str, Fate] = field(default_factory=dict[str, Fate])
    steps: dict[str, StepFate] = field(default_factory=dict[str, StepFate])
    children: dict[str, "RandomGraph"] = field(default_factory=dict[str, "RandomGraph"])


def random_graph(seed: int, shape: Shape) -> RandomGraph:
    """The graph of a seed."""
    return _Maker(random.Random(seed), shape).graph(f"g{seed}", 0)


class _Maker:
    def __init__(self, chance: random.Random, shape: Shape) -> None:
        self.chance = chance
        self.shape = shape

    def graph(self, path: str, depth: int) -> RandomGraph:
        chance, made = self.chance, RandomGraph(path, Graph([]))
        size = chance.randint(*(self.shape.sizes if depth == 0 else (1, 5)))
        nodes = [self.node(made, index, depth) for index in range(size)]
        names = [node.id for node in nodes]
        cases = [
            chance.sample(names, min(len(names), chance.randint(1, 3))) for _ in range(chance.randint(1, 2))
        ]
        made.graph = Graph(
            nodes,
            on_error=chance.choice(["fail", "fail", "pause"]),
            output=chance.choice([None, chance.choice(names)]),
            cases=chance.choice([None, None, cases]),
            children={name: child.graph for name, child in made.children.items()},
        )
        return made

    def node(self, made: RandomGraph, index: int, depth: int) -> N:
        chance, name = self.chance, f"n{index}"
        earlier = [f"n{i}" for i in range(max(0, index - 8), index)]
        deps = chance.sample(earlier, min(len(earlier), chance.randint(0, 4)))
        join = chance.choice(["all", "all", "any", "quorum"]) if deps else "all"
        conditions = chance.random() < 0.15
        is_child = self.shape.has_children and depth < DEEPEST and chance.random() < 0.1
        takes_context = bool(deps) and chance.random() < 0.3 and (conditions or not is_child)
        if is_child:
            made.children[name] = self.graph(f"{made.path}.{name}", depth + 1)
        else:
            fates = self.shape.fates
            made.fates[name] = chance.choices(list(fates), list(fates.values()))[0]
        if conditions or is_child:
            # The check at the worker's start builds what needs no results, and must not meet a broken one.
            can_break = conditions or (join == "all" and any(dep in made.fates for dep in deps[:1]))
            steps: list[StepFate] = ["go", "skip" if conditions else "go", "break" if can_break else "go"]
            made.steps[name] = chance.choices(steps, [80, 12, 8])[0]
        return N(
            name,
            deps,
            join=join,
            min_success=chance.randint(1, len(deps)) if join == "quorum" else None,
            allow_failed=chance.random() < 0.4,
            ctx_from=chance.sample(deps, chance.randint(1, len(deps))) if takes_context else None,
            conditions=conditions,
            child=f"child {made.path}.{name}" if is_child else None,
        )
