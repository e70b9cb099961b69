"""Readiness means that work moves."""

from __future__ import annotations

import pytest

from worker.errors import Stuck
from worker.stages import STUCK_S, Stage, Stages


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_statement_that_hangs_is_named(clock: Clock) -> None:
    stages = Stages(8, clock=clock)
    with stages.under_way(Stage.JOURNAL, "writing scores"):
        clock.now = STUCK_S
        stages.require_moving()
        clock.now += 1
        with pytest.raises(Stuck, match="writing scores has waited 61 s for the database"):
            stages.require_moving()
        assert stages.longest() == dict.fromkeys(Stage, 0) | {Stage.JOURNAL: STUCK_S + 1}
    stages.require_moving()
    assert set(stages.longest().values()) == {0}


def test_a_source_that_hangs_is_no_reason_as_long_as_others_can_run(clock: Clock) -> None:
    stages = Stages(2, clock=clock)
    with stages.under_way(Stage.READ, "run 1"):
        clock.now = STUCK_S + 1
        stages.require_moving()
        with stages.under_way(Stage.READ, "run 2"):
            stages.require_moving()
            clock.now += STUCK_S + 1
            with pytest.raises(Stuck, match="every run waits for its source: run 1, run 2"):
                stages.require_moving()
    stages.require_moving()


def test_a_call_may_take_as_long_as_its_timeout_allows(clock: Clock) -> None:
    stages = Stages(1, clock=clock)
    with stages.under_way(Stage.CALL, "run 1"):
        clock.now = 900
        stages.require_moving()


def test_what_fails_is_no_longer_under_way(clock: Clock) -> None:
    stages = Stages(clock=clock)
    with pytest.raises(ValueError, match="broken"), stages.under_way(Stage.JOURNAL, "x"):
        raise ValueError("broken")
    clock.now = 900
    stages.require_moving()


def test_a_recording_that_is_being_transcribed_does_not_hang(clock: Clock) -> None:
    stages = Stages(1, clock=clock)
    with stages.under_way(Stage.READ, "calls"):
        with stages.under_way(Stage.TRANSCRIBE, "calls"):
            clock.now = 300
            stages.require_moving()
            assert stages.longest()[Stage.TRANSCRIBE] == 300
            assert stages.longest()[Stage.READ] == 0
            with stages.under_way(Stage.READ, "another"):
                clock.now += STUCK_S + 1
                with pytest.raises(Stuck, match="another"):
                    stages.require_moving()
        stages.require_moving()  # between two windows
        clock.now += STUCK_S + 1
        with pytest.raises(Stuck, match="every run waits for its source: calls"):
            stages.require_moving()
