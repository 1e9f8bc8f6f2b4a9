"""Background tasks and workflows on PostgreSQL: `from horsies import Horsies, AppConfig, ...`.

The names below are the public interface; each loads when first used. Written by scripts/public_names.py.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from horsies.app import Horsies
    from horsies.broker_errors import BrokerErrorCode, BrokerOperationError, BrokerResult
    from horsies.codec import (
        JsonValue,
        StrictJsonError,
        decode_task_error,
        decode_task_result,
        decode_value,
        encode_task_result,
        encode_value,
        validate_task_result_envelope,
    )
    from horsies.config import (
        AppConfig,
        CustomQueueConfig,
        PayloadPolicy,
        PostgresConfig,
        QueueMode,
        RecoveryConfig,
        RetentionConfig,
        WorkerResilienceConfig,
    )
    from horsies.errors.catalogue import ErrorCode
    from horsies.errors.codes import (
        BUILTIN_CODE_REGISTRY,
        BuiltInTaskCode,
        ContractCode,
        LibraryErrorCode,
        OperationalErrorCode,
        OutcomeCode,
        RetrievalCode,
    )
    from horsies.errors.diagnostic import (
        ConfigurationError,
        DuplicateTaskNameError,
        HorsiesError,
        NotRegistered,
        RegistryError,
        SourceLocation,
        TaskDefinitionError,
        WorkflowValidationError,
    )
    from horsies.errors.report import MultipleValidationErrors, ValidationReport
    from horsies.exception_mapper import ExceptionMapper
    from horsies.handle import TaskHandle
    from horsies.monitoring import (
        NotEligibleReason,
        QueueState,
        RerunEnqueued,
        RerunEnqueuePolicy,
        RerunInputCorrupt,
        RerunInputDisposition,
        RerunInputUnavailable,
        RerunKeyConflict,
        RerunKeyReplay,
        RerunNotEligible,
        RerunOutcome,
        RerunSourceAbsent,
        RerunSourceLive,
        RerunTask,
        ScheduleState,
        TaskActionError,
        TaskActionErrorCode,
        TaskCancelled,
    )
    from horsies.ops.health import DatabasePing, QueueStats, WorkerPong
    from horsies.result import (
        Err,
        Ok,
        Result,
        UnwrapError,
        as_async_result,
        as_result,
        do,
        do_async,
        is_err,
        is_ok,
    )
    from horsies.retry import RetryPolicy
    from horsies.schedule import (
        BothDays,
        ByMonthDay,
        ByWeekday,
        CronEnumRange,
        CronEnumStep,
        CronEnumValues,
        CronEvery,
        CronRange,
        CronSchedule,
        CronStep,
        CronTextError,
        CronValues,
        DailySchedule,
        EitherDay,
        EveryDay,
        HourlySchedule,
        IntervalSchedule,
        Month,
        MonthlySchedule,
        NoOccurrenceError,
        ScheduleConfig,
        SchedulePattern,
        TaskSchedule,
        Weekday,
        WeeklySchedule,
        next_run,
        next_runs,
    )
    from horsies.send_errors import TaskSendError, TaskSendErrorCode, TaskSendPayload, TaskSendResult
    from horsies.state import (
        TASK_TERMINAL_STATES,
        WORKFLOW_TERMINAL_STATES,
        AttemptOutcome,
        OnError,
        TaskStatus,
        WorkflowStatus,
        WorkflowTaskStatus,
    )
    from horsies.task import TaskFunction
    from horsies.task_info import TaskAttemptInfo, TaskInfo
    from horsies.task_result import SubWorkflowError, SubWorkflowSummary, TaskError, TaskResult
    from horsies.worker_state import WorkerStateSnapshot
    from horsies.workflow.builder import NodeFactory, from_node
    from horsies.workflow.context import WorkflowContext, WorkflowContextMissingIdError, WorkflowMeta
    from horsies.workflow.definition import WorkflowDefinition
    from horsies.workflow.handle import (
        WorkflowHandle,
        pause_workflow,
        pause_workflow_sync,
        resume_workflow,
        resume_workflow_sync,
    )
    from horsies.workflow.handle_errors import HandleErrorCode, HandleOperationError, HandleResult
    from horsies.workflow.node_info import WorkflowTaskInfo
    from horsies.workflow.node_key import NodeKey, slugify
    from horsies.workflow.nodes import AnyNode, SubWorkflowNode, TaskNode
    from horsies.workflow.policy import SuccessCase, SuccessPolicy
    from horsies.workflow.progress import WorkflowProgress
    from horsies.workflow.spec import WorkflowSpec
    from horsies.workflow.start import WorkflowStartResult, start_workflow, start_workflow_async
    from horsies.workflow.start_errors import WorkflowStartError, WorkflowStartErrorCode

_MODULES = {
    "horsies.app": ("Horsies "),
    "horsies.broker_errors": ("BrokerErrorCode BrokerOperationError BrokerResult "),
    "horsies.codec": (
        "JsonValue StrictJsonError decode_task_error decode_task_result decode_value "
        "encode_task_result encode_value validate_task_result_envelope "
    ),
    "horsies.config": (
        "AppConfig CustomQueueConfig PayloadPolicy PostgresConfig QueueMode RecoveryConfig "
        "RetentionConfig WorkerResilienceConfig "
    ),
    "horsies.errors.catalogue": ("ErrorCode "),
    "horsies.errors.codes": (
        "BUILTIN_CODE_REGISTRY BuiltInTaskCode ContractCode LibraryErrorCode OperationalErrorCode "
        "OutcomeCode RetrievalCode "
    ),
    "horsies.errors.diagnostic": (
        "ConfigurationError DuplicateTaskNameError HorsiesError NotRegistered RegistryError "
        "SourceLocation TaskDefinitionError WorkflowValidationError "
    ),
    "horsies.errors.report": ("MultipleValidationErrors ValidationReport "),
    "horsies.exception_mapper": ("ExceptionMapper "),
    "horsies.handle": ("TaskHandle "),
    "horsies.result": ("Err Ok Result UnwrapError as_async_result as_result do do_async is_err is_ok "),
    "horsies.retry": ("RetryPolicy "),
    "horsies.schedule": (
        "BothDays ByMonthDay ByWeekday CronEnumRange CronEnumStep CronEnumValues CronEvery "
        "CronRange CronSchedule CronStep CronTextError CronValues DailySchedule EitherDay EveryDay "
        "HourlySchedule IntervalSchedule Month MonthlySchedule NoOccurrenceError ScheduleConfig "
        "SchedulePattern TaskSchedule Weekday WeeklySchedule next_run next_runs "
    ),
    "horsies.send_errors": ("TaskSendError TaskSendErrorCode TaskSendPayload TaskSendResult "),
    "horsies.state": (
        "AttemptOutcome OnError TASK_TERMINAL_STATES TaskStatus WORKFLOW_TERMINAL_STATES "
        "WorkflowStatus WorkflowTaskStatus "
    ),
    "horsies.task": ("TaskFunction "),
    "horsies.task_info": ("TaskAttemptInfo TaskInfo "),
    "horsies.task_result": ("SubWorkflowError SubWorkflowSummary TaskError TaskResult "),
    "horsies.monitoring": (
        "NotEligibleReason QueueState RerunEnqueuePolicy RerunEnqueued RerunInputCorrupt "
        "RerunInputDisposition RerunInputUnavailable RerunKeyConflict RerunKeyReplay "
        "RerunNotEligible RerunOutcome RerunSourceAbsent RerunSourceLive RerunTask ScheduleState "
        "TaskActionError TaskActionErrorCode TaskCancelled "
    ),
    "horsies.ops.health": ("DatabasePing QueueStats WorkerPong "),
    "horsies.worker_state": ("WorkerStateSnapshot "),
    "horsies.workflow.builder": ("NodeFactory from_node "),
    "horsies.workflow.context": ("WorkflowContext WorkflowContextMissingIdError WorkflowMeta "),
    "horsies.workflow.definition": ("WorkflowDefinition "),
    "horsies.workflow.handle": (
        "WorkflowHandle pause_workflow pause_workflow_sync resume_workflow resume_workflow_sync "
    ),
    "horsies.workflow.handle_errors": ("HandleErrorCode HandleOperationError HandleResult "),
    "horsies.workflow.node_info": ("WorkflowTaskInfo "),
    "horsies.workflow.node_key": ("NodeKey slugify "),
    "horsies.workflow.nodes": ("AnyNode SubWorkflowNode TaskNode "),
    "horsies.workflow.progress": ("WorkflowProgress "),
    "horsies.workflow.policy": ("SuccessCase SuccessPolicy "),
    "horsies.workflow.spec": ("WorkflowSpec "),
    "horsies.workflow.start": ("WorkflowStartResult start_workflow start_workflow_async "),
    "horsies.workflow.start_errors": ("WorkflowStartError WorkflowStartErrorCode "),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [  # noqa: RUF022 - plain order
    "AnyNode",
    "AppConfig",
    "AttemptOutcome",
    "BUILTIN_CODE_REGISTRY",
    "BothDays",
    "BrokerErrorCode",
    "BrokerOperationError",
    "BrokerResult",
    "BuiltInTaskCode",
    "ByMonthDay",
    "ByWeekday",
    "ConfigurationError",
    "ContractCode",
    "CronEnumRange",
    "CronEnumStep",
    "CronEnumValues",
    "CronEvery",
    "CronRange",
    "CronSchedule",
    "CronStep",
    "CronTextError",
    "CronValues",
    "CustomQueueConfig",
    "DailySchedule",
    "DatabasePing",
    "DuplicateTaskNameError",
    "EitherDay",
    "Err",
    "ErrorCode",
    "EveryDay",
    "ExceptionMapper",
    "HandleErrorCode",
    "HandleOperationError",
    "HandleResult",
    "Horsies",
    "HorsiesError",
    "HourlySchedule",
    "IntervalSchedule",
    "JsonValue",
    "LibraryErrorCode",
    "Month",
    "MonthlySchedule",
    "MultipleValidationErrors",
    "NoOccurrenceError",
    "NodeFactory",
    "NodeKey",
    "NotEligibleReason",
    "NotRegistered",
    "Ok",
    "OnError",
    "OperationalErrorCode",
    "OutcomeCode",
    "PayloadPolicy",
    "PostgresConfig",
    "QueueMode",
    "QueueState",
    "QueueStats",
    "RecoveryConfig",
    "RegistryError",
    "RerunEnqueuePolicy",
    "RerunEnqueued",
    "RerunInputCorrupt",
    "RerunInputDisposition",
    "RerunInputUnavailable",
    "RerunKeyConflict",
    "RerunKeyReplay",
    "RerunNotEligible",
    "RerunOutcome",
    "RerunSourceAbsent",
    "RerunSourceLive",
    "RerunTask",
    "Result",
    "RetentionConfig",
    "RetrievalCode",
    "RetryPolicy",
    "ScheduleConfig",
    "SchedulePattern",
    "ScheduleState",
    "SourceLocation",
    "StrictJsonError",
    "SubWorkflowError",
    "SubWorkflowNode",
    "SubWorkflowSummary",
    "SuccessCase",
    "SuccessPolicy",
    "TASK_TERMINAL_STATES",
    "TaskActionError",
    "TaskActionErrorCode",
    "TaskAttemptInfo",
    "TaskCancelled",
    "TaskDefinitionError",
    "TaskError",
    "TaskFunction",
    "TaskHandle",
    "TaskInfo",
    "TaskNode",
    "TaskResult",
    "TaskSchedule",
    "TaskSendError",
    "TaskSendErrorCode",
    "TaskSendPayload",
    "TaskSendResult",
    "TaskStatus",
    "UnwrapError",
    "ValidationReport",
    "WORKFLOW_TERMINAL_STATES",
    "Weekday",
    "WeeklySchedule",
    "WorkerPong",
    "WorkerResilienceConfig",
    "WorkerStateSnapshot",
    "WorkflowContext",
    "WorkflowContextMissingIdError",
    "WorkflowDefinition",
    "WorkflowHandle",
    "WorkflowMeta",
    "WorkflowProgress",
    "WorkflowSpec",
    "WorkflowStartError",
    "WorkflowStartErrorCode",
    "WorkflowStartResult",
    "WorkflowStatus",
    "WorkflowTaskInfo",
    "WorkflowTaskStatus",
    "WorkflowValidationError",
    "as_async_result",
    "as_result",
    "decode_task_error",
    "decode_task_result",
    "decode_value",
    "do",
    "do_async",
    "encode_task_result",
    "encode_value",
    "from_node",
    "is_err",
    "is_ok",
    "next_run",
    "next_runs",
    "pause_workflow",
    "pause_workflow_sync",
    "resume_workflow",
    "resume_workflow_sync",
    "slugify",
    "start_workflow",
    "start_workflow_async",
    "validate_task_result_envelope",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
