"""How a run ended: the worst thing that happened names it."""

from __future__ import annotations

from typing import Any

import pytest

from worker.errors import Exit, SourceUnavailable
from worker.pipeline.circuit import Circuit
from worker.pipeline.cycle import judge_ending
from worker.records import Failure, FailureKind
from worker.states import Counters, RunState, StopReason

DENIED = Failure(FailureKind.MISCONFIGURED, "AccessDenied", "Not allowed.")
DOWN = Failure(FailureKind.UNAVAILABLE, "ServiceException", "No answer came back.")
GONE = SourceUnavailable("There is no file a.csv.", hint="Check the path.")


def ending(**happened: Any) -> tuple[str, int, str]:
    circuit = Circuit(threshold=1)
    if cause := happened.pop("cause", None):
        circuit.record(cause, 0.0)
    usual: dict[str, Any] = {
        "pending_records": 0,
        "failure": None,
        "source_error": None,
        "stopped": None,
    }
    counters = Counters(**happened.pop("counters", {}))
    found = judge_ending(counters, circuit=circuit, **usual | happened)
    return found.state, found.exit_code, found.error or ""


@pytest.mark.parametrize(
    ("happened", "state", "code", "said"),
    [
        ({}, RunState.DONE, Exit.DONE, ""),
        ({"counters": {"quarantined": 1}}, RunState.QUARANTINED, Exit.QUARANTINED, "1 row went"),
        ({"counters": {"dead": 2}}, RunState.QUARANTINED, Exit.QUARANTINED, "2 rows went"),
        ({"source_error": GONE}, RunState.FAILED, Exit.FAILED, "no file"),
        (
            {"source_error": GONE, "counters": {"read": 9}},
            RunState.PARTIAL,
            Exit.FAILED,
            "no file",
        ),
        ({"cause": DENIED}, RunState.DEGRADED, Exit.MISUSED, "Not allowed."),
        ({"pending_records": 3, "cause": DOWN}, RunState.DEGRADED, Exit.DEGRADED, "No answer"),
        ({"pending_records": 3, "failure": DOWN}, RunState.DEGRADED, Exit.DEGRADED, "No answer"),
        ({"pending_records": 3}, RunState.DEGRADED, Exit.DEGRADED, "3 records wait for the model"),
        (
            {"stopped": StopReason.BUDGET, "pending_records": 3},
            RunState.OVER_BUDGET,
            Exit.OVER_BUDGET,
            "3 records wait",
        ),
        ({"stopped": StopReason.MAX_COST}, RunState.OVER_BUDGET, Exit.OVER_BUDGET, "--max-cost"),
        ({"stopped": StopReason.PAUSED}, RunState.PAUSED, Exit.DEGRADED, "paused"),
        ({"stopped": StopReason.VERSION}, RunState.DEGRADED, Exit.MISUSED, "model version"),
        ({"stopped": StopReason.SIGNAL, "pending_records": 3}, RunState.STOPPED, Exit.DONE, ""),
    ],
)
def test_how_a_run_ended(happened: dict[str, Any], state: str, code: int, said: str) -> None:
    found = ending(**happened)
    assert found[:2] == (state, code)
    assert said in found[2]


def test_a_source_that_cannot_be_read_names_the_run_before_anything_else() -> None:
    found = ending(source_error=GONE, cause=DENIED, pending_records=3, stopped=StopReason.SIGNAL)
    assert found[0] == RunState.FAILED
