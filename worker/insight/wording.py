"""A summary in sentences, and numbers as people read them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from html import unescape
from importlib.resources import files
from typing import Any

from worker import words
from worker.insight.drift import Shift
from worker.insight.review import Findings
from worker.insight.summary import Summary

TEXT_SHOWN = 280


MEASURED: Mapping[str, Mapping[str, Any]] = json.loads(
    files("worker.insight").joinpath("measured.json").read_text("utf-8")
)
"""How much of each label a model finds, by its name and version: written by `make trust`."""


def verdict(summary: Summary) -> str:
    """The one sentence that a reader takes along; says so where the figures do not carry one."""
    now, before, days = summary.now, summary.before, summary.scope.days
    then = "the day before" if days == 1 else f"in the {days} days before"
    if now.net is None:
        if now.unsupported:
            return "No record of this time is in a language that the model reads."
        return "No record of this time has a score."
    change, interval = summary.change, summary.interval
    if change is None or interval is None:
        return f"Net polarity is {now.net:+.2f}; nothing was scored {then}."
    known = f"Net polarity is {now.net:+.2f}, {then} it was {signed(before.net)}"
    by = changed(change, interval)
    if not summary.is_comparable:
        return f"{known}, but that time has records on {summary.days_before} of {days} days only."
    if not summary.is_clear:
        return f"{known}: no clear change, {by}."
    return f"{known}: clearly {'better' if change > 0 else 'worse'}, {by}."


def brief(text: str, size: int = TEXT_SHOWN) -> str:
    """At most so many characters of a text."""
    return text if len(text) <= size else text[: size - 1] + "…"


def legible(text: str) -> str:
    """A text to be read: entities, as feeds and exports leave them, are characters again."""
    return unescape(text) if "&" in text else text


def signed(value: float | None) -> str:
    """A polarity for people."""
    return "-" if value is None else f"{value:+.2f}"


def changed(change: float, interval: tuple[float, float]) -> str:
    """A change of net polarity for people, with its 95 % interval."""
    low, high = interval
    return f"{change:+.2f} (95 %: {low:+.2f} to {high:+.2f})"


def spoken(since: date, until: date) -> str:
    """A period for people; `until` is not of it."""
    last = until - timedelta(days=1)
    return f"{since:%-d %B %Y}" if since == last else f"{since:%-d %B %Y} to {last:%-d %B %Y}"


def cautions(summary: Summary) -> list[str]:
    """What a reader must know, each a sentence; also that there is nothing."""
    trust, now = summary.trust, summary.now
    found = [*_of_mistakes(summary)]
    if trust.provisional:
        part = share(trust.provisional, now.records)
        found.append(
            f"Provisional scores: {trust.provisional:,} ({part} of all); they are TextBlob's until"
            " the model answers, and will change."
        )
    else:
        found.append("No score is provisional.")
    if trust.unscored:
        have = words.many(trust.unscored, "record has", "records have")
        found.append(f"{have} no score (yet, or an empty text).")
    if trust.overridden:
        were = words.many(trust.overridden, "record was", "records were")
        found.append(f"{were} judged by a person.")
    if trust.quarantined:
        rows = words.many(trust.quarantined, "row", "rows")
        found.append(f"{rows}, of any day and tag, in quarantine: not counted here.")
    if trust.unsupported:
        are = words.many(trust.unsupported, "record is", "records are")
        named = f" ({', '.join(trust.other_languages[:5])})" if trust.other_languages else ""
        found.append(
            f"{are} in a language that the model does not read{named}:"
            f" {share(trust.unsupported, now.records)} of all. They are scored, and left out of the"
            " figures here."
        )
    found += _of_drift(trust.shifts)
    if trust.language_unknown:
        found.append(
            f"The language of {trust.language_unknown:,} of the newest {trust.looked_at:,} records"
            " is not known: the source does not say it, and it was not detected. They count."
        )
    if not summary.is_comparable and summary.before.records:
        found.append(
            f"Days with records: {len(summary.days)}, and {summary.days_before} in the time before;"
            " a change may come from the missing days."
        )
    return found


def _of_drift(shifts: Sequence[Shift]) -> Iterator[str]:
    """What has changed in the records themselves; also that nothing has."""
    if not shifts:
        return
    notable = [_shifted(shift) for shift in shifts if shift.is_notable]
    if not notable:
        yield (
            "The newest records are like those of the time before in length, language, words and in"
            " how sure the model is."
        )
        return
    yield (
        f"The newest records are unlike those of the time before: {'; '.join(notable)}. A change of"
        " polarity may come from that."
    )


def _shifted(shift: Shift) -> str:
    grew = shift.size > 0
    pairs = f"{(1 + abs(shift.size)) / 2 * 100:.0f} of 100 pairs of an old and a new record"
    if shift.measure == "confidence":
        sure = "surer" if grew else "less sure"
        return (
            f"the model is {sure} of them ({shift.now:.0%} on average, was {shift.before:.0%};"
            f" {sure} of the new one in {pairs})"
        )
    if shift.measure == "length":
        long = "longer" if grew else "shorter"
        return (
            f"texts are {long} (median {shift.now:,.0f} characters, was {shift.before:,.0f};"
            f" the new one is {long} in {pairs})"
        )
    if shift.measure == "language":
        return f"more are in {shift.about} ({shift.now:.0%}, was {shift.before:.0%})"
    named = f", like {shift.about}" if shift.about else ""
    return f"{shift.now:.0%} of their words are new{named} (chance gives {shift.before:.0%})"


def _of_mistakes(summary: Summary) -> Iterator[str]:
    """What an interval does not cover."""
    trust = summary.trust
    yield (
        "The intervals (±) cover chance in sampling alone, not the model's mistakes, which do not"
        " average out: the true share of negative records may lie outside of them."
    )
    for name in trust.models:
        if measured := MEASURED.get(name):
            yield (
                f"Measured on {measured['texts']:,} {measured['what']} that it was not trained on,"
                f" {measured['name']} finds {measured['negative']:.0%} of what people call"
                f" negative, {measured['neutral']:.0%} of neutral and {measured['positive']:.0%} of"
                " positive; on your texts it may be worse."
            )
            if name in trust.sure:
                yield _estimated(*trust.sure[name])
        else:
            yield f"How often {name} is right was not measured here."
    if trust.reviewed:
        yield from _of_review(trust.reviewed)
    elif trust.judged:
        yield (
            f"Of {words.many(trust.judged, 'record', 'records')} of any"
            f" {'day' if summary.scope.source else 'source, day'} and tag that people judged,"
            f" {share(trust.agreed, trust.judged)} have the label that the model gave."
            " People chose which to judge: this is no estimate for the others."
        )
    else:
        yield (
            "No person has judged any of these records yet. `sentiment-worker review draw` puts a"
            " sample before people; how often the model is right then stands here."
        )


def _of_review(found: Findings) -> Iterator[str]:
    """From records that were drawn at random and judged by people."""
    right = found.accuracy[0].share
    records = words.many(found.at_random, "record", "records")
    when = f"{found.drawn_at:%-d %B %Y}"
    yield (
        f"Of {records} that were drawn at random on {when} and judged by people, the machine has"
        f" the right label on {right.value:.0%} ({right.low:.0%} to {right.high:.0%})."
    )
    shares = "; ".join(
        f"{each.label} {each.corrected.low:.0%} to {each.corrected.high:.0%}"
        f" (the machine counts {each.counted:.0%})"
        for each in found.corrected
    )
    yield f"Shares of what was drawn from, as people would count them: {shares}."
    if found.agreement is not None:
        yield (
            f"{words.many(found.judged_by_several, 'record', 'records')} of that review were judged"
            f" by several people, who agree with an alpha of {found.agreement:.2f}"
            " (Krippendorff's; 1 is full agreement, 0 chance)."
        )


def _estimated(records: int, sure: float) -> str:
    """Confidence-based performance estimation: a calibrated model is right as often as it is sure.
    https://nannyml.readthedocs.io/en/stable/how_it_works/performance_estimation.html"""
    return (
        f"Estimated from its own probabilities, without labels (CBPE): right on about {sure:.0%} of"
        f" the newest {records:,} records here, if these texts are like those that it was"
        " calibrated on."
    )


def share(part: int, of: int) -> str:
    """In whole percent; "-" of none."""
    return f"{part / of:.0%}" if of else "-"
