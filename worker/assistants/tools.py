"""The tools themselves: each asks, and answers."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field
from sqlalchemy import Engine

from worker.assistants.answers import (
    Compared,
    Comparison,
    Explanation,
    Found,
    Mover,
    SaidMore,
    Score,
    Terms,
    Trend,
    Whole,
    quoted,
)
from worker.insight import saying, summary, wording
from worker.insight.scope import Iso, Text, scope_of, search
from worker.store.analytics import questions, record_questions
from worker.store.analytics.scores import Order
from worker.store.analytics.tallies import Scope

MAX_ROWS = 50
MAX_NAME = 100
MAX_VERDICT = 500
MAX_DAYS = 120

_Words = Annotated[Text, Field(max_length=300)]
Source = Annotated[_Words | None, Field(description="A source's name; without it, all.")]
Since = Annotated[
    date | None,
    Iso,
    Field(description="The first day (UTC). Default: the last 7 days."),
]
Until = Annotated[date | None, Iso, Field(description="The last day (UTC).")]
Tag = Annotated[_Words | None, Field(description="A tag's name; give its value too.")]
Value = Annotated[_Words | None, Field(description="The tag's value.")]
Limit = Annotated[int, Field(ge=1, le=MAX_ROWS, description="Records at most.")]


class Questions:
    """The tools. Each opens its own connection: the SDK calls them in threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(
        self,
        words: Annotated[
            _Words | None, Field(description="Of the text, as a search engine reads them.")
        ] = None,
        source: Source = None,
        since: Since = None,
        until: Until = None,
        label: Literal["negative", "neutral", "positive"] | None = None,
        tag: Tag = None,
        value: Value = None,
        order: Order = "newest",
        limit: Limit = 20,
    ) -> Found:
        """Find records by words, source, time, label or tag; without dates, of any day. In an order
        by polarity the 20 outermost of all are found; by label, or with words in that order, the
        newest 5,000 are looked at."""
        scope = scope_of(self._engine, source, since, until, tag, value, ever=True)
        wanted = scope.records(words=words, label=label, order=order, limit=limit + 1)
        found = search(self._engine, wanted)
        return Found(
            records=[quoted(row) for row in found.rows[:limit]],
            truncated=len(found.rows) > limit or found.at_most is not None,
            looked_at_newest=found.among,
        )

    def trend(
        self,
        source: Source = None,
        since: Since = None,
        until: Until = None,
        tag: Tag = None,
        value: Value = None,
    ) -> Trend:
        """Day by day, with totals and those of as many days before."""
        scope = scope_of(self._engine, source, since, until, tag, value)
        if scope.days > MAX_DAYS:
            raise ToolError(f"That is {scope.days} days; ask for {MAX_DAYS} at most.")
        days = questions.days(self._engine, scope)
        before = questions.total(questions.days(self._engine, scope.before()))
        return Trend(
            since=scope.since,
            until=_last(scope),
            total=questions.total(days),
            before=before,
            days=days,
        )

    def compare(
        self,
        by: Annotated[
            _Words | None, Field(description="A tag's name; without it, sources.")
        ] = None,
        source: Source = None,
        since: Since = None,
        until: Until = None,
    ) -> Comparison:
        """Sources, or the values of a tag, side by side; those with most negative records first,
        50 at most. Without dates: the last 7 days up to the newest record of all of them."""
        scope = scope_of(self._engine, source, since, until)
        tags = questions.tags(self._engine, scope)
        groups = questions.compared(self._engine, scope, by, limit=MAX_ROWS)
        return Comparison(
            since=scope.since,
            until=_last(scope),
            by=by,
            groups=[
                Compared(
                    untrusted_name=wording.brief(g.name, MAX_NAME), counted=questions.total([g])
                )
                for g in groups
            ],
            other_tags=[name for name in tags if name != by],
        )

    def terms(
        self,
        source: Source = None,
        since: Since = None,
        until: Until = None,
        label: Literal["negative", "neutral", "positive"] = "negative",
        tag: Tag = None,
        value: Value = None,
        against: saying.Against | None = None,
    ) -> Terms:
        """What is said more in some records than in others: words and phrases, the clearest first.
        Compared with records of other labels, with those of other values of the tag (the default
        with a tag), or with as many days before."""
        scope = scope_of(self._engine, source, since, until, tag, value)
        found = saying.compare(self._engine, scope, label=label, against=against)
        return Terms(
            verdict=wording.brief(found.verdict, MAX_VERDICT),
            terms=[
                SaidMore(
                    untrusted_term=wording.brief(term.term, MAX_NAME),
                    records=term.records,
                    share=term.share,
                    share_elsewhere=term.share_elsewhere,
                    z=term.z,
                    for_example=[record_id for record_id, _ in term.examples],
                )
                for term in found.terms
            ],
        )

    def explain_day(
        self, day: Annotated[date, Iso, Field(description="UTC.")], source: Source = None
    ) -> Explanation:
        """A day against the day before: what moved it, the records that show it, what to beware."""
        scope = scope_of(self._engine, source, day, day)
        found = summary.summarise(self._engine, scope)
        return Explanation(
            verdict=wording.verdict(found),
            day=found.now,
            day_before=found.before,
            movers=[
                Mover(
                    tag=m.tag,
                    untrusted_name=wording.brief(m.name, MAX_NAME),
                    moved=m.moved,
                    now=m.now,
                    before=m.before,
                    records=[quoted(row) for row in m.records],
                )
                for m in found.movers
            ],
            lowest=[quoted(row) for row in found.lowest],
            cautions=wording.cautions(found),
        )

    def drill_down(self, record_id: Annotated[int, Field(ge=1, lt=2**63)]) -> Whole:
        """One record: every score that it ever had, by whom, and what people said of it."""
        found = record_questions.whole(self._engine, record_id)
        return Whole(
            record=quoted(found.record),
            scores=[
                Score(
                    when=f"{row['scored_at']:%Y-%m-%d %H:%M}",
                    said_by=f"{row['scorer']} {row['model']} {row['model_version']}",
                    label=row["label"],
                    polarity=row["polarity"],
                    provisional=row["provisional"],
                    fallback_reason=row["fallback_reason"],
                    of_present_text=row["of_present_text"],
                )
                for row in found.scores
            ],
            earlier=[f"{row['replaced_at']:%Y-%m-%d %H:%M}" for row in found.revisions],
            corrections=[
                f"{row['made_at']:%Y-%m-%d}: {row['made_by']} says {row['label'] or 'nothing more'}"
                for row in found.overrides
            ],
        )


def _last(scope: Scope) -> date:
    return scope.until - timedelta(days=1)
