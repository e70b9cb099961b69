"""Charts of single records' scores: how they are distributed, and whether two scorers agree."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from worker.insight.charts.style import LABELS, LIGHT, STATES, Chart, Style, data, strength, titled
from worker.insight.summary import CANNOT_SAY, Agreement
from worker.store.analytics.tallies import Bin


def distribution(bins: Sequence[Bin], count: int, style: Style = LIGHT) -> Chart:
    """How many records have which polarity."""
    rows = [
        {"low": b.low, "high": b.high, "state": state, "records": getattr(b, state)}
        for b in bins
        for state in STATES
        if getattr(b, state)
    ]
    drawn: Chart = (
        alt.Chart(data(rows))
        .mark_bar(color=style.positive)
        .encode(
            x=alt.X(
                "low:Q",
                bin=alt.BinParams(binned=True, step=0.1),
                title="polarity (-1 negative to 1 positive)",
                scale=alt.Scale(domain=[-1, 1]),
                axis=alt.Axis(tickCount=11),
            ),
            x2="high:Q",
            y=alt.Y("records:Q", title="records", stack="zero"),
            opacity=strength(rows),
            order=alt.Order("state:N"),
        )
        .properties(
            width=style.width,
            height=160,
            title=titled("Distribution", f"of the newest {count:,} scored records"),
        )
    )
    return drawn


def agreement(counts: Agreement, style: Style = LIGHT) -> Chart:
    """What the model said, and what TextBlob says of the same texts: counts, and shares by row."""
    totals = {label: sum(n for (m, _), n in counts.items() if m == label) for label in LABELS}
    rows = [
        {
            "model": model,
            "textblob": other,
            "records": counts.get((model, other), 0),
            "share": counts.get((model, other), 0) / totals[model] if totals[model] else 0,
        }
        for model in LABELS
        for other in (*LABELS, CANNOT_SAY)
    ]
    base = alt.Chart(data(rows)).encode(
        x=alt.X("textblob:N", sort=[*LABELS, CANNOT_SAY], title="TextBlob says",
                axis=alt.Axis(labelAngle=0)),
        y=alt.Y("model:N", sort=LABELS, title="the model says"),
    )  # fmt: skip
    squares = base.mark_rect().encode(
        color=alt.Color(
            "share:Q",
            title="share of the row",
            scale=alt.Scale(domain=[0, 1], range=[style.paper, style.positive], interpolate="rgb"),
            legend=alt.Legend(format="%"),
        )
    )
    words = base.mark_text().encode(
        text="records:Q",
        color=alt.condition("datum.share > 0.5", alt.value(style.paper), alt.value(style.ink)),
    )
    agreed = sum(counts.get((label, label), 0) for label in LABELS)
    everything = sum(counts.values())
    said = f"same label on {agreed:,} of the newest {everything:,}" if everything else "no records"
    return alt.layer(squares, words).properties(
        width=style.width * 0.7, height=alt.Step(36), title=titled("The model and TextBlob", said)
    )
