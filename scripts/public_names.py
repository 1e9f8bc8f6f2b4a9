"""Writes packages/horsies-core/src/horsies/__init__.py from the table below: `python scripts/public_names.py`.

Names load when they are first asked for (PEP 562), which halves the start-up of programs that need few of them; the
imports under TYPE_CHECKING show the same names to type checkers and editors. Run `make format` afterwards.
"""

from pathlib import Path
from textwrap import wrap

TARGET = Path(__file__).parent.parent / "packages/horsies-core/src/horsies/__init__.py"

NAMES: dict[str, str] = {
    "horsies.app": "Horsies",
    "horsies.broker_errors": "BrokerErrorCode BrokerOperationError BrokerResult",
    "horsies.codec": "JsonValue StrictJsonError decode_task_error decode_task_result decode_value encode_task_result"
    " encode_value validate_task_result_envelope",
    "horsies.config": "AppConfig CustomQueueConfig PayloadPolicy PostgresConfig QueueMode RecoveryConfig"
    " RetentionConfig WorkerResilienceConfig",
    "horsies.errors.catalogue": "ErrorCode",
    "horsies.errors.codes": "BUILTIN_CODE_REGISTRY BuiltInTaskCode ContractCode LibraryErrorCode OperationalErrorCode"
    " OutcomeCode RetrievalCode",
    "horsies.errors.diagnostic": "ConfigurationError DuplicateTaskNameError HorsiesError NotRegistered RegistryError"
    " SourceLocation TaskDefinitionError WorkflowValidationError",
    "horsies.errors.report": "MultipleValidationErrors ValidationReport",
    "horsies.exception_mapper": "ExceptionMapper",
    "horsies.handle": "TaskHandle",
    "horsies.result": "Err Ok Result UnwrapError as_async_result as_result do do_async is_err is_ok",
    "horsies.retry": "RetryPolicy",
    "horsies.schedule": "BothDays ByMonthDay ByWeekday CronEnumRange CronEnumStep CronEnumValues CronEvery CronRange"
    " CronSchedule CronStep CronTextError CronValues DailySchedule EitherDay EveryDay HourlySchedule IntervalSchedule"
    " Month MonthlySchedule NoOccurrenceError ScheduleConfig SchedulePattern TaskSchedule Weekday WeeklySchedule"
    " next_run next_runs",
    "horsies.send_errors": "TaskSendError TaskSendErrorCode TaskSendPayload TaskSendResult",
    "horsies.state": "AttemptOutcome OnError TASK_TERMINAL_STATES TaskStatus WORKFLOW_TERMINAL_STATES WorkflowStatus"
    " WorkflowTaskStatus",
    "horsies.task": "TaskFunction",
    "horsies.task_info": "TaskAttemptInfo TaskInfo",
    "horsies.task_result": "SubWorkflowError SubWorkflowSummary TaskError TaskResult",
    "horsies.monitoring": "NotEligibleReason QueueState RerunEnqueuePolicy RerunEnqueued RerunInputCorrupt"
    " RerunInputDisposition RerunInputUnavailable RerunKeyConflict RerunKeyReplay RerunNotEligible RerunOutcome"
    " RerunSourceAbsent RerunSourceLive RerunTask ScheduleState TaskActionError TaskActionErrorCode TaskCancelled",
    "horsies.ops.health": "DatabasePing QueueStats WorkerPong",
    "horsies.worker_state": "WorkerStateSnapshot",
    "horsies.workflow.builder": "NodeFactory from_node",
    "horsies.workflow.context": "WorkflowContext WorkflowContextMissingIdError WorkflowMeta",
    "horsies.workflow.definition": "WorkflowDefinition",
    "horsies.workflow.handle": "WorkflowHandle pause_workflow pause_workflow_sync resume_workflow"
    " resume_workflow_sync",
    "horsies.workflow.handle_errors": "HandleErrorCode HandleOperationError HandleResult",
    "horsies.workflow.node_info": "WorkflowTaskInfo",
    "horsies.workflow.node_key": "NodeKey slugify",
    "horsies.workflow.nodes": "AnyNode SubWorkflowNode TaskNode",
    "horsies.workflow.progress": "WorkflowProgress",
    "horsies.workflow.policy": "SuccessCase SuccessPolicy",
    "horsies.workflow.spec": "WorkflowSpec",
    "horsies.workflow.start": "WorkflowStartResult start_workflow start_workflow_async",
    "horsies.workflow.start_errors": "WorkflowStartError WorkflowStartErrorCode",
}


def text() -> str:
    """The module's source."""
    home = {name: module for module, names in NAMES.items() for name in names.split()}
    lines = [
        '"""Background tasks and workflows on PostgreSQL: `from horsies import Horsies, AppConfig, ...`.',
        "",
        "The names below are the public interface; each loads when first used. Written by scripts/public_names.py.",
        '"""',
        "",
        "from importlib import import_module",
        "from typing import TYPE_CHECKING",
        "",
        "if TYPE_CHECKING:",
    ]
    lines += [
        f"    from {module} import {', '.join(sorted(names.split()))}" for module, names in NAMES.items()
    ]
    lines += ["", "_MODULES = {"]
    for module, names in NAMES.items():
        lines += [f'    "{module}": (']
        lines += [f'        "{line} "' for line in wrap(" ".join(sorted(names.split())), 90)] + ["    ),"]
    lines += [
        "}",
        "_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}",
        "",
    ]
    lines += (
        ["__all__ = [  # noqa: RUF022 - plain order"]
        + [f'    "{name}",' for name in sorted(home)]
        + ["]", ""]
    )
    lines += [
        "",
        "def __getattr__(name: str) -> object:",
        "    if name not in _HOME:",
        '        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")',
        "    value: object = getattr(import_module(_HOME[name]), name)",
        "    globals()[name] = value",
        "    return value",
        "",
        "",
        "def __dir__() -> list[str]:",
        "    return sorted({*globals(), *__all__})",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    TARGET.write_text(text())
