"""Built-in task codes (04 section 2), broker codes (04 section 3) and the catalogue (04 section 6)."""

import dataclasses
from enum import StrEnum
from itertools import combinations
from types import UnionType
from typing import cast

import pytest

from horsies.broker_errors import BrokerErrorCode, BrokerOperationError
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

FAMILIES: dict[type[StrEnum], set[str]] = {
    OperationalErrorCode: {
        "UNHANDLED_EXCEPTION",
        "TASK_EXCEPTION",
        "WORKER_CRASHED",
        "BROKER_ERROR",
        "WORKER_RESOLUTION_ERROR",
        "WORKER_SERIALIZATION_ERROR",
        "RESULT_DESERIALIZATION_ERROR",
        "WORKFLOW_ENQUEUE_FAILED",
        "SUBWORKFLOW_LOAD_FAILED",
        "CONDITION_FAILED",
    },
    ContractCode: {
        "RETURN_TYPE_MISMATCH",
        "PYDANTIC_HYDRATION_ERROR",
        "WORKFLOW_CTX_MISSING_ID",
        "NO_TYPE_AVAILABLE",
    },
    RetrievalCode: {
        "WAIT_TIMEOUT",
        "TASK_NOT_FOUND",
        "WORKFLOW_NOT_FOUND",
        "RESULT_NOT_AVAILABLE",
        "RESULT_NOT_READY",
    },
    OutcomeCode: {
        "TASK_CANCELLED",
        "TASK_EXPIRED",
        "TASK_TIMEOUT",
        "WORKFLOW_PAUSED",
        "WORKFLOW_EXPIRED",
        "WORKFLOW_FAILED",
        "WORKFLOW_CANCELLED",
        "UPSTREAM_SKIPPED",
        "SUBWORKFLOW_FAILED",
        "WORKFLOW_SUCCESS_CASE_NOT_MET",
        "MAP_FAILED",
        "SIGNAL_TIMEOUT",
    },
}

WORKFLOW_NAMES = """
    NO_NAME NO_NODES INVALID_NODE_ID DUPLICATE_NODE_ID NO_ROOT_TASKS INVALID_DEPENDENCY CYCLE_DETECTED
    INVALID_ARGS_FROM INVALID_CTX_FROM CTX_PARAM_MISSING INVALID_OUTPUT INVALID_SUCCESS_POLICY INVALID_JOIN
    UNRESOLVED_QUEUE UNRESOLVED_PRIORITY NO_DEFINITION_KEY DUPLICATE_DEFINITION_KEY SUBWORKFLOW_APP_MISSING
    INVALID_KWARG_KEY MISSING_REQUIRED_PARAMS KWARGS_ARGS_FROM_OVERLAP SUBWORKFLOW_PARAMS_REQUIRE_BUILD_WITH
    SUBWORKFLOW_BUILD_WITH_BINDING ARGS_FROM_TYPE_MISMATCH OUTPUT_TYPE_MISMATCH POSITIONAL_ARGS_NOT_SUPPORTED
    CHECK_CASES_REQUIRED CHECK_CASE_INVALID CHECK_BUILDER_EXCEPTION CHECK_UNDECORATED_BUILDER
    KWARGS_NOT_SERIALIZABLE INVALID_ID INVALID_CONDITION INVALID_MAP INVALID_WAIT
"""

TASK_NAMES = """
    TASK_NO_RETURN_TYPE TASK_INVALID_RETURN_TYPE TASK_INVALID_OPTIONS TASK_INVALID_QUEUE
    TASK_PREDECORATED_NOT_SUPPORTED TASK_STRICT_SIGNATURE_VIOLATION
"""

CONFIG_NAMES = """
    CONFIG_INVALID_QUEUE_MODE CONFIG_INVALID_CLUSTER_CAP CONFIG_INVALID_PREFETCH BROKER_INVALID_URL
    CONFIG_INVALID_RECOVERY CONFIG_INVALID_SCHEDULE CLI_INVALID_ARGS WORKER_INVALID_LOCATOR
    CONFIG_INVALID_RESILIENCE CONFIG_INVALID_EXCEPTION_MAPPER MODULE_EXEC_ERROR BROKER_INIT_FAILED
    CHECK_RESERVED_CODE_COLLISION CONFIG_INVALID_BROKER_POOL CONFIG_INVALID_CHILD_HOOK
    CONFIG_INVALID_KEEPALIVE CONFIG_INVALID_RETENTION
"""


@pytest.mark.parametrize("family", FAMILIES)
def test_members_of_a_family(family: type[StrEnum]) -> None:
    """04 section 2: exactly these members, the value equal to the name."""
    assert {code.name for code in family} == FAMILIES[family]
    assert all(code.value == code.name and isinstance(code, str) for code in family)


def test_the_union_is_plain() -> None:
    """E-07: isinstance works, and the second name is the same object."""
    assert isinstance(BuiltInTaskCode, UnionType)
    assert LibraryErrorCode is BuiltInTaskCode
    for family in FAMILIES:
        assert all(isinstance(code, BuiltInTaskCode) for code in family)
    assert not isinstance(cast("object", "WORKER_CRASHED"), BuiltInTaskCode)


def test_families_share_no_value() -> None:
    """E-08"""
    for one, other in combinations(FAMILIES.values(), 2):
        assert not one & other


def test_registry_is_complete() -> None:
    """E-08: each value with its member, nothing else, and nobody can add to it."""
    assert dict(BUILTIN_CODE_REGISTRY) == {code.value: code for family in FAMILIES for code in family}
    assert all(type(code) in FAMILIES for code in BUILTIN_CODE_REGISTRY.values())
    with pytest.raises(TypeError):
        cast("dict[str, object]", BUILTIN_CODE_REGISTRY)["MINE"] = "MINE"


def test_codes_print_as_their_value() -> None:
    assert f"{OutcomeCode.TASK_EXPIRED}" == str(OutcomeCode.TASK_EXPIRED) == "TASK_EXPIRED"


def test_catalogue() -> None:
    """04 section 6 and 05 section 16: every code, in order, under its name."""
    expected = {
        f"WORKFLOW_{name}": f"HRS-{number:03}" for number, name in enumerate(WORKFLOW_NAMES.split(), 1)
    }
    expected |= {name: f"HRS-{number}" for number, name in enumerate(TASK_NAMES.split(), 100)}
    expected |= {name: f"HRS-{number}" for number, name in enumerate(CONFIG_NAMES.split(), 200)}
    expected |= {"TASK_NOT_REGISTERED": "HRS-300", "TASK_DUPLICATE_NAME": "HRS-301"}
    assert {code.name: code.value for code in ErrorCode} == expected


def test_broker_codes() -> None:
    """04 section 3"""
    assert {code.value for code in BrokerErrorCode} == {
        *("SCHEMA_INIT_FAILED", "ENQUEUE_FAILED", "PAYLOAD_MISMATCH", "IDEMPOTENCY_KEY_CONFLICT"),
        *("INVALID_TASK_OPTIONS", "TASK_INFO_QUERY_FAILED", "NO_TYPE_AVAILABLE", "INVALID_JSON_PAYLOAD"),
        *(
            "MONITORING_QUERY_FAILED",
            "DB_PING_FAILED",
            "WORKER_PING_FAILED",
            "CLEANUP_FAILED",
            "CLOSE_FAILED",
        ),
        *("LISTENER_START_FAILED", "LISTENER_SUBSCRIBE_FAILED", "NO_BROKER"),
    }
    assert all(code.value == code.name for code in BrokerErrorCode)


def test_broker_error_is_frozen() -> None:
    """04 section 3"""
    cause = OSError("gone")
    error = BrokerOperationError(BrokerErrorCode.DB_PING_FAILED, "no answer", True, cause)
    assert (error.code, error.message, error.retryable, error.exception) == (
        BrokerErrorCode.DB_PING_FAILED,
        "no answer",
        True,
        cause,
    )
    for field in dataclasses.fields(error):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(error, field.name, None)
