"""Arithmetic of Lambda's bills."""

from __future__ import annotations

import base64

import pytest

from worker.cost import Pace, Prices, estimate, gb_seconds
from worker.records import Bill
from worker.scoring.invoke import bill_of


def test_the_source_documents_own_example() -> None:
    """Seed 001: 10,000 texts in calls of 50, 2 s each at 2 GB, are 800 GB-seconds, about a cent."""
    pace = Pace(mb_ms_per_text=2_000 * 2_048 / 50, seconds_per_text=2 / 50, measured_on=10_000)
    found = estimate(10_000, 200, pace=pace, prices=Prices(), concurrency=10)
    assert found.gb_seconds == 800
    assert found.cost_usd == pytest.approx(0.0134, abs=0.0001)
    assert found.duration_s == 40
    assert gb_seconds(1_024_000) == 1


def log(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


REPORT = (
    "REPORT RequestId: 1\tDuration: 12.31 ms\tBilled Duration: 13 ms\tMemory Size: 1769 MB\t"
    "Max Memory Used: 180 MB\tInit Duration: 400.12 ms\n"
)


def test_the_last_report_line_is_lambdas_own() -> None:
    assert bill_of(log(f"END RequestId: 1\n{REPORT}")) == Bill(13, 1769)
    forged = REPORT.replace("13 ms", "1 ms")
    assert bill_of(log(f"{forged}END RequestId: 1\n{REPORT}")) == Bill(13, 1769)


def test_a_function_that_logs_as_json_reports_in_json() -> None:
    metrics = '{"durationMs": 12.3, "billedDurationMs": 13, "memorySizeMB": 1769}'
    report = f'{{"type": "platform.report", "record": {{"metrics": {metrics}}}}}\n'
    assert bill_of(log(f'{{"type": "platform.start"}}\n{report}')) == Bill(13, 1769)


ABSURD = (
    '{"type": "platform.report", "record": {"metrics": '
    '{"billedDurationMs": 1e999, "memorySizeMB": 9}}}'
)


@pytest.mark.parametrize(
    "tail",
    [
        None,
        "",
        "%%%",
        log("START\nEND\n"),
        log("REPORT of mine\n"),
        log('{"type": "platform.report", "record": 1}\n'),
    ],
)
def test_without_a_report_line_there_is_no_bill(tail: str | None) -> None:
    assert bill_of(tail) is None


def test_an_absurd_report_costs_no_answer() -> None:
    assert bill_of(log(f"{ABSURD}\n")) is None
