"""Upkeep of workflows: expire what is paused for too long (W-83), cancel tasks that no node waits for (R-111)."""

from datetime import datetime, timedelta

from horsies.db.effects import Op, Row, Run

EXPIRY_BATCH = 500
ORPHANS_PAGE = 500


def expire_paused(policy: timedelta, now: datetime | None = None) -> Op[int]:
    """Expire workflows paused for longer than `policy`, each in a transaction; how many were."""
    policy_s = policy.total_seconds()
    rows: list[Row] = yield Run(
        "list_paused_workflows", {"policy_s": policy_s, "limit": EXPIRY_BATCH, "now": now}
    )
    expired = 0
    for (workflow_id,) in rows:
        answer: list[Row] = yield Run(
            "expire_workflow", {"id": workflow_id, "policy_s": policy_s, "now": now}
        )
        expired += bool(answer[0][0])
    return expired


def cancel_orphans(now: datetime | None = None) -> Op[int]:
    """Cancel waiting workflow tasks that no node waits for, page by page; how many there were."""
    cancelled = 0
    while True:
        rows: list[Row] = yield Run("cancel_orphans", {"limit": ORPHANS_PAGE, "now": now})
        found: int = rows[0][0]
        cancelled += found
        if found < ORPHANS_PAGE:
            return cancelled
