"""How far a period can be trusted: what is provisional, not read, judged by people, or unsure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from worker.insight import drift
from worker.insight.drift import Shift
from worker.insight.review import Findings, findings
from worker.store.analytics import questions, record_questions, reviews
from worker.store.analytics.tallies import Scope, Tally


@dataclass(frozen=True, slots=True)
class Trust:
    """What there is to know before a figure is quoted."""

    provisional: int
    """Scored by TextBlob until the model answers."""
    unscored: int
    overridden: int
    """Judged by a person."""
    quarantined: int
    """Rows that could not be read or scored, of any day."""
    unsupported: int
    """In a language that their scorer does not read: left out of every share and polarity."""
    other_languages: Sequence[str]
    """Those languages, of the newest records: that of most records first."""
    language_unknown: int
    """Of the newest records."""
    looked_at: int
    """How many newest records that is."""
    models: Sequence[str]
    """Name and version of whatever scored them, that of most records first."""
    sure: Mapping[str, tuple[int, float]]
    """By model (name and version): of how many newest records, and how sure it is on average."""
    reviewed: Findings | None
    """What people's review of records drawn at random says; None where there is none."""
    shifts: Sequence[Shift]
    """How unlike those of the time before the newest records are; empty where too few are known."""
    judged: int
    """Records of the source, of any day, that people judged and the machine had scored."""
    agreed: int
    """Of them, those on which both have the same label."""


def trust_in(engine: Engine, scope: Scope, now: Tally) -> Trust:
    newest = record_questions.languages_and_models(engine, scope)
    languages, others, models = Counter[str | None](), Counter[str](), Counter[str]()
    for row in newest:
        languages[row["language"]] += row["records"]
        if not row["language_supported"]:
            others[row["language"]] += row["records"]
        if row["model"] is not None:
            models[f"{row['model']} {row['model_version']}"] += row["records"]
    looked_at = sum(languages.values())
    # "und": ISO 639-2, undetermined.
    unknown = languages[None] + languages["und"]
    judged, agreed = record_questions.judged(engine, scope.source)
    return Trust(
        provisional=now.provisional,
        unscored=now.unscored - now.unsupported,
        overridden=now.overridden,
        quarantined=questions.quarantine_size(engine, scope.source),
        unsupported=now.unsupported,
        other_languages=[language for language, _ in others.most_common()],
        language_unknown=unknown,
        looked_at=looked_at,
        models=[model for model, _ in models.most_common()],
        sure={
            row["model"]: (row["records"], row["mean"])
            for row in record_questions.confidence(engine, scope)
        },
        reviewed=_reviewed(engine, scope.source, models),
        shifts=drift.between(engine, scope),
        judged=judged,
        agreed=agreed,
    )


def _reviewed(engine: Engine, source: str | None, models: Collection[str]) -> Findings | None:
    """Of the models that have scored the period: what was found of others says nothing of them."""
    draw = reviews.newest(engine, source, judged=True) if source else None
    if draw is None:
        return None
    about = (reviews.items(engine, draw["id"]), reviews.judgements(engine, draw["id"]))
    found = findings(draw, *about)
    return found if set(found.models) <= set(models) else None
