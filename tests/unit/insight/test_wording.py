"""The sentences that a reader takes along, in each situation that there is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from worker.insight.review import findings
from worker.insight.summary import Summary
from worker.insight.trust import Trust
from worker.insight.wording import MEASURED, brief, cautions, legible, share, spoken, verdict
from worker.polarity import net
from worker.store.analytics.tallies import Day, Scope, Tally

FIRST = date(2026, 3, 1)
DRAW = {"negative": 8, "neutral": 1, "positive": 1, "drawn_at": datetime(2026, 3, 1, tzinfo=UTC)}
REVIEWED = [
    {"machine_label": "negative", "person_label": person, "part": "random", "model": "m 1",
     "language": None, "skipped_why": None}
    for person in ["negative"] * 8 + ["neutral"] * 2
]  # fmt: skip
NO_DOUBT = Trust(provisional=0, unscored=0, overridden=0, quarantined=0, unsupported=0,
                 other_languages=(), language_unknown=0, looked_at=0, models=(), sure={},
                 reviewed=None, shifts=(), judged=0, agreed=0)  # fmt: skip


def tally(positive: int, negative: int, neutral: int = 0) -> Tally:
    found = net(positive, neutral, negative)
    return Tally(
        records=positive + negative + neutral,
        positive=positive,
        neutral=neutral,
        negative=negative,
        net=found.value if found else None,
    )


def summary(
    now: Tally, before: Tally, *, days: int = 7, days_before: int = 7, **trust: Any
) -> Summary:
    return Summary(
        scope=Scope(FIRST, FIRST + timedelta(days=days), "reviews"),
        now=now,
        before=before,
        days=[Day(day=FIRST + timedelta(days=n)) for n in range(days)],
        sources=(),
        standings=(),
        days_before=days_before,
        upset={},
        movers=(),
        lowest=(),
        trust=Trust(**{name: getattr(NO_DOUBT, name) for name in Trust.__slots__} | trust),
    )


MANY_GOOD, MANY_BAD = tally(300, 100), tally(100, 300)


@pytest.mark.parametrize(
    ("found", "said", "not_said"),
    [
        (summary(tally(0, 0), MANY_BAD), ["No record"], ["polarity"]),
        (summary(MANY_GOOD, tally(0, 0)), ["+0.50", "nothing was scored"], ["better"]),
        (summary(MANY_GOOD, MANY_BAD), ["+0.50", "-0.50", "clearly better", "+1.00"], ["worse"]),
        (summary(MANY_BAD, MANY_GOOD), ["clearly worse", "-1.00", "7 days before"], ["better"]),
        (summary(tally(2, 4), tally(4, 2)), ["-0.33", "no clear change"], ["clearly"]),
        (summary(MANY_BAD, MANY_GOOD, days_before=3), ["3 of 7 days"], ["clearly", "worse"]),
        (summary(MANY_BAD, MANY_GOOD, days_before=4), ["clearly worse"], ["of 7 days"]),
        (summary(MANY_BAD, MANY_GOOD, days=1, days_before=1), ["the day before"], ["1 days"]),
    ],
    ids=["nothing", "nothing before", "better", "worse", "few", "half a week", "enough", "one day"],
)
def test_a_verdict_says_no_more_than_its_figures(
    found: Summary, said: list[str], not_said: list[str]
) -> None:
    sentence = verdict(found)
    assert all(each in sentence for each in said), sentence
    assert not any(each in sentence for each in not_said), sentence


@pytest.mark.parametrize(
    ("trust", "figures"),
    [
        ({"provisional": 1_200}, ["1,200", "(30% of all)"]),
        ({"unscored": 1}, ["1 record has no score"]),
        ({"unscored": 2_000}, ["2,000 records have no score"]),
        ({"overridden": 1}, ["1 record was"]),
        ({"quarantined": 3}, ["3 rows"]),
        (
            {"unsupported": 40, "other_languages": ["nl", "tr"]},
            ["40 records are in a language", "(nl, tr)"],
        ),
        ({"language_unknown": 50, "looked_at": 60}, ["of 50 of the newest 60"]),
        ({"judged": 8, "agreed": 6}, ["8 records", "75%"]),
        (
            {"reviewed": findings(DRAW, REVIEWED)},
            [
                "Of 10 records that were drawn at random on 1 March",
                "on 80% (49% to 94%)",
                "(the machine counts 80%)",
            ],
        ),
        ({"models": ["unheard-of 9"]}, ["How often unheard-of 9 is right"]),
        (
            {"models": [next(iter(MEASURED))], "sure": {next(iter(MEASURED)): (1_234, 0.71)}},
            ["(CBPE)", "about 71% of the newest 1,234 records"],
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_doubt_is_a_sentence_with_its_figures_and_no_doubt_is_none(
    trust: dict[str, Any], figures: list[str]
) -> None:
    now = tally(3_000, 1_000)
    with_doubt = " ".join(cautions(summary(now, now, **trust)))
    without = " ".join(cautions(summary(now, now)))
    assert all(each in with_doubt for each in figures), with_doubt
    assert not any(each in without for each in figures)


def test_that_there_is_no_provisional_score_and_no_judgement_is_said() -> None:
    said = " ".join(cautions(summary(MANY_GOOD, MANY_GOOD)))
    assert "No score is provisional." in said
    assert "review draw" in said


def test_days_without_records_are_a_caution_only_where_there_was_something_before() -> None:
    assert any("2 in the time before" in each for each in cautions(
        summary(MANY_BAD, MANY_GOOD, days_before=2)))  # fmt: skip
    nothing = cautions(summary(MANY_BAD, tally(0, 0), days_before=0))
    assert not any("in the time before" in each for each in nothing)


@pytest.mark.parametrize("name", list(MEASURED))
def test_what_was_measured_of_a_model_is_said_in_percent(name: str) -> None:
    said = " ".join(cautions(summary(MANY_GOOD, MANY_GOOD, models=[name])))
    for label in ("negative", "neutral", "positive"):
        assert f"{MEASURED[name][label]:.0%}" in said
    assert "was not measured here" not in said


def test_a_period_is_named_by_its_last_day_and_not_by_the_day_after_it() -> None:
    assert spoken(FIRST, FIRST + timedelta(days=1)) == "1 March 2026"
    assert spoken(FIRST, date(2026, 4, 1)) == "1 March 2026 to 31 March 2026"


def test_a_text_is_cut_to_its_size_and_entities_are_characters() -> None:
    assert (brief("abcde", 5), brief("abcdef", 5)) == ("abcde", "abcd…")
    assert legible("Q&amp;A &lt;3 & more") == "Q&A <3 & more"


def test_a_share_of_nothing_is_no_percentage() -> None:
    assert (share(1, 3), share(0, 5), share(0, 0)) == ("33%", "0%", "-")
