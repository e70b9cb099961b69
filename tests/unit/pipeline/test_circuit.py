from __future__ import annotations

from worker.pipeline.circuit import Circuit, RecentOutcomes, RetryBudget
from worker.records import Answer, Failure, FailureKind, ScorerId

GOOD = Answer(ScorerId("lambda", "m", "1"), ())
DOWN = Failure(FailureKind.UNAVAILABLE, "down")
DENIED = Failure(FailureKind.MISCONFIGURED, "denied")
BUSY = Failure(FailureKind.THROTTLED, "busy")


def test_opens_after_failures_in_a_row_and_a_success_resets_the_row() -> None:
    circuit = Circuit(threshold=3)
    for outcome in (DOWN, DOWN, GOOD, DOWN, DOWN):
        circuit.record(outcome, 0)
    assert circuit.state.value == "closed"
    circuit.record(DOWN, 0)
    assert circuit.state.value == "open"
    assert circuit.cause == DOWN


def test_a_broken_configuration_opens_at_once() -> None:
    circuit = Circuit()
    circuit.record(DENIED, 0)
    assert circuit.state.value == "open"


def test_throttles_open_only_when_nothing_else_comes_for_a_minute() -> None:
    circuit = Circuit(threshold=1, throttled_s=60)
    for moment in range(60):
        circuit.record(BUSY, moment)
    circuit.record(GOOD, 60)
    for moment in range(61, 121):
        circuit.record(BUSY, moment)
    assert circuit.admits(120)
    circuit.record(BUSY, 121)
    assert not circuit.admits(121)


def test_one_probe_a_window_and_its_success_closes() -> None:
    circuit = Circuit(window_s=30)
    circuit.record(DENIED, 100)
    assert [circuit.admits(t) for t in (101, 129.9, 130, 130, 159)] == [
        False,
        False,
        True,
        False,
        False,
    ]
    circuit.record(DOWN, 131)
    assert not circuit.admits(160)
    assert circuit.admits(161)
    circuit.record(GOOD, 162)
    assert circuit.admits(162)
    assert circuit.cause is None


def test_a_probe_whose_answer_never_came_does_not_block_the_next() -> None:
    circuit = Circuit(window_s=30)
    circuit.record(DENIED, 0)
    assert circuit.admits(30)
    assert not circuit.admits(59)
    assert circuit.admits(60)


def test_retries_are_a_fifth_of_calls_at_most() -> None:
    budget = RetryBudget(ratio=0.2, reserve=2)
    budget.withdraw()
    budget.withdraw()
    assert not budget.has_room()
    for _ in range(5):
        budget.deposit()
    assert budget.has_room()


def test_the_witness_tells_a_sick_text_from_a_sick_function() -> None:
    recent = RecentOutcomes()
    assert recent.others(1, 100) == "unknown"
    recent.saw(1, DOWN, 100)
    assert recent.others(1, 100) == "unknown"
    recent.saw(2, DOWN, 100)
    assert recent.others(1, 100) == "fail"
    recent.saw(3, GOOD, 100)
    assert recent.others(1, 100) == "succeed"
    assert recent.others(1, 401) == "unknown", "what was long ago says nothing of now"
