"""The definitions of random workflows, made anew from their seeds in each process that imports this."""

import os
import random
import time
from pathlib import Path
from typing import Any

from horsies import (
    AppConfig,
    Horsies,
    PostgresConfig,
    RecoveryConfig,
    RetryPolicy,
    TaskError,
    TaskResult,
    WorkflowContext,
)
from horsies.workflow.definition import WorkflowDefinition
from horsies.workflow.nodes import SubWorkflowNode, TaskNode
from horsies.workflow.policy import SuccessCase, SuccessPolicy
from tests.acceptance.notes import note
from tests.acceptance.random_graphs import SHAPES, RandomGraph, StepFate, random_graph
from tests.core.workflow_engine.engine import N

URL = os.environ.get("ACCEPTANCE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
FOLDER = os.environ.get("RANDOM_FLOWS_FOLDER", "")
SHAPE = SHAPES[os.environ.get("RANDOM_FLOWS_SHAPE", "mixed")]
SLEEP_S = float(os.environ.get("RANDOM_FLOWS_SLEEP_S", "0.004"))
SEEDS = range(*map(int, os.environ.get("RANDOM_FLOWS_SEEDS", "0:0").split(":")))

app = Horsies(
    AppConfig(
        broker=PostgresConfig(database_url=URL),
        recovery=RecoveryConfig(
            check_interval_ms=1_000,
            runner_heartbeat_interval_ms=1_000,
            claimer_heartbeat_interval_ms=1_000,
            running_stale_threshold_ms=6_000,
            claimed_stale_threshold_ms=6_000,
        ),
    )
)
app.discover_tasks(["tests.acceptance.apps.random_flows"])

type Number = TaskResult[int, TaskError]


def _act(key: str, fate: str) -> Number:
    note(FOLDER, key)
    time.sleep(random.random() * SLEEP_S)
    if fate == "die":
        os.kill(os.getpid(), 9)
    if fate == "fail":
        return TaskResult(err=TaskError(error_code="BROKEN"))
    if fate == "again":
        try:
            Path(FOLDER, key).touch(exist_ok=False)
        except FileExistsError:
            return TaskResult(ok=2)
        return TaskResult(err=TaskError(error_code="AGAIN"))
    return TaskResult(ok=1)


@app.task("act", retry_policy=RetryPolicy.fixed([1], auto_retry_for=["AGAIN"], jitter=False))
def act(
    key: str, fate: str, before: Number | None = None, *, workflow_ctx: WorkflowContext | None = None
) -> Number:
    return _act(key, fate)


@app.task(
    "act_stubborn", retry_policy=RetryPolicy.fixed([1] * 20, auto_retry_for=["WORKER_CRASHED"], jitter=False)
)
def act_stubborn(
    key: str, fate: str, before: Number | None = None, *, workflow_ctx: WorkflowContext | None = None
) -> Number:
    return _act(key, fate)


@app.task("act_async", retry_policy=RetryPolicy.fixed([1], auto_retry_for=["AGAIN"], jitter=False))
async def act_async(
    key: str, fate: str, before: Number | None = None, *, workflow_ctx: WorkflowContext | None = None
) -> Number:
    return _act(key, fate)


def _condition(key: str, fate: StepFate) -> Any:
    def is_skipped(context: WorkflowContext) -> bool:
        if fate == "break":
            raise RuntimeError(f"{key} has a broken condition")
        return fate == "skip"

    return is_skipped


def define(made: RandomGraph) -> type[WorkflowDefinition[Any]]:
    """The definition class of a graph, and of those below it."""
    nodes: dict[str, Any] = {}
    for declared in made.graph.nodes:
        nodes[declared.id] = _node(made, declared, nodes)
    meta: dict[str, Any] = {"on_error": made.graph.on_error}
    if made.graph.output is not None:
        meta["output"] = made.graph.output
    if made.graph.cases is not None:
        cases = [SuccessCase([nodes[name] for name in case]) for case in made.graph.cases]
        meta["success_policy"] = SuccessPolicy(cases)
    body: dict[str, Any] = {
        "name": made.path,
        "definition_key": f"random.{made.path}",
        "Meta": type("Meta", (), meta),
        **nodes,
    }
    return type(made.path.replace(".", "_"), (WorkflowDefinition,), body)


def _node(made: RandomGraph, declared: N, nodes: dict[str, Any]) -> Any:
    key = f"{made.path}.{declared.id}"
    shared: dict[str, Any] = {
        "waits_for": [nodes[name] for name in declared.deps],
        "workflow_ctx_from": None
        if declared.ctx_from is None
        else [nodes[name] for name in declared.ctx_from],
        "join": declared.join,
        "min_success": declared.min_success,
        "allow_failed_deps": declared.allow_failed,
    }
    step = made.steps.get(declared.id, "go")
    if declared.conditions:
        shared["skip_when"] = _condition(key, step)
    if declared.id in made.children:
        if declared.conditions or step == "go":
            return SubWorkflowNode(define(made.children[declared.id]), **shared)
        return SubWorkflowNode(_unbuildable(key), args_from={"before": nodes[declared.deps[0]]}, **shared)
    if declared.deps and isinstance(nodes[declared.deps[0]], TaskNode):
        shared["args_from"] = {"before": nodes[declared.deps[0]]}
    fate = made.fates[declared.id]
    in_loop = fate != "die" and int(declared.id[1:]) % 5 == 3
    task = act_stubborn if fate == "stubborn" else act_async if in_loop else act
    return TaskNode(fn=task, kwargs={"key": key, "fate": fate}, **shared)


def _unbuildable(key: str) -> type[WorkflowDefinition[Any]]:
    def build_with(cls: Any, app: Any, *, before: Number) -> Any:
        raise RuntimeError(f"{key} cannot be built")

    body = {
        "name": key,
        "definition_key": f"random.{key}.unbuildable",
        "never": TaskNode(fn=act, kwargs={"key": key, "fate": "ok"}),
        "build_with": classmethod(build_with),
    }
    return type(key.replace(".", "_"), (WorkflowDefinition,), body)


GRAPHS = {seed: random_graph(seed, SHAPE) for seed in SEEDS}
DEFINITIONS = {seed: define(made) for seed, made in GRAPHS.items()}
