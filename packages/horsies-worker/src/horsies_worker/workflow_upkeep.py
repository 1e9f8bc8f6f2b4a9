"""The reaper's steps that concern workflows only (R-111, R-114)."""

import logging

from horsies.config import RecoveryConfig, RetentionConfig
from horsies.ops import workflow_upkeep
from horsies_worker.reaper import OpRunner
from horsies_worker.steps import Step

logger = logging.getLogger("horsies.worker")


def workflow_steps(recovery: RecoveryConfig, retention: RetentionConfig, runner: OpRunner) -> list[Step]:
    """Those that are switched on.

    Args:
        recovery: Intervals and switches.
        retention: How long workflows may be paused.
        runner: Runs operations.
    """
    policy = retention.paused_workflow_auto_cancel_after

    async def expire_paused() -> None:
        assert policy is not None
        if expired := await runner.run(workflow_upkeep.expire_paused(policy)):
            logger.warning(
                "%d workflows had been paused for longer than %s and have expired", expired, policy
            )

    async def cancel_orphans() -> None:
        if cancelled := await runner.run(workflow_upkeep.cancel_orphans()):
            logger.error("%d workflow tasks that no node waits for were cancelled", cancelled)

    steps: list[Step] = []
    if policy is not None:
        steps.append(Step("the expiry of paused workflows", recovery.check_interval_ms / 1000, expire_paused))
    if recovery.auto_terminate_orphaned_workflow_tasks:
        every_s = recovery.orphan_task_audit_interval_ms / 1000
        steps.append(Step("the audit of workflow tasks", every_s, cancel_orphans))
    return steps
