"""What of a run is unlike the last four weeks of its source: its volume, and silence."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Engine

from worker.states import PULLS, SILENT, RunState
from worker.store import database

STATES = (RunState.DONE, RunState.QUARANTINED, RunState.DEGRADED)
"""Runs that read their source to its end: only these are compared."""

MIN_RUNS = 20
"""Runs that are compared with, at least: before that nothing is usual."""

MIN_RECORDS = 30
MIN_SHARE = 0.1
"""Of records in other languages: less is never worth a word."""

FACTOR = 3.0
"""Beyond so many times the usual extreme something is worth a word."""

_VOLUME = """
SELECT count(*) AS runs,
       percentile_disc(0.02) WITHIN GROUP (ORDER BY new + changed) AS low,
       percentile_disc(0.98) WITHIN GROUP (ORDER BY new + changed) AS high
FROM sentiment.run
WHERE source_id = :source AND lane = 0 AND trigger = ANY(:pulls) AND id <> :run
  AND state = ANY(:finished)
  AND started_at > now() - interval '28 days'
"""

_SILENCE = """
SELECT count(*) AS gaps, extract(epoch FROM max(gap))::float8 AS longest,
       extract(epoch FROM now() - max(at))::float8 AS since
FROM (
    SELECT started_at AS at, started_at - lag(started_at) OVER (ORDER BY started_at) AS gap
    FROM sentiment.run
    WHERE source_id = :source AND lane = 0 AND new + changed > 0
      AND started_at > now() - interval '28 days'
) arrivals
"""


# The newest day with records, beside the four weeks before it.
_LANGUAGES = """
SELECT coalesce(sum(unsupported) FILTER (WHERE day = newest), 0) AS now,
       coalesce(sum(records) FILTER (WHERE day = newest), 0) AS records,
       coalesce(sum(unsupported) FILTER (WHERE day < newest), 0)::float8
           / nullif(sum(records) FILTER (WHERE day < newest), 0) AS usual
FROM (
    SELECT *, max(day) OVER () AS newest FROM sentiment.daily
    WHERE source_id = :source AND tag = '' AND records > 0 AND day <= current_date
      -- Before a scorer told of languages there is nothing to compare with.
      AND day >= (SELECT min(first_seen)::date FROM sentiment.scorer
                  WHERE languages IS NOT NULL AND provider <> 'textblob')
) days
WHERE day > newest - 29
"""

_FOUND_NOTHING = """
SELECT count(*) FROM (
    SELECT bool_and(coalesce(r.found_nothing, false)) OVER (ORDER BY r.id DESC) AS still
    FROM sentiment.run r JOIN sentiment.source s ON s.id = r.source_id
    WHERE s.name = :source AND r.lane = 0 AND r.trigger = ANY(:pulls)
      AND r.state <> ALL(:silent)
    ORDER BY r.id DESC LIMIT 100
) lately WHERE still
"""


def empty_in_a_row(engine: Engine, source: str) -> int:
    """How many of the last runs, without a break, have found nothing to read."""
    with database.transaction(engine) as connection:
        return int(
            connection.scalar(
                sa.text(_FOUND_NOTHING), {"source": source, "pulls": PULLS, "silent": SILENT}
            )
            or 0
        )


def warnings(engine: Engine, source_id: int, run_id: int, arrived: int) -> list[str]:
    """A sentence each; none if all is as usual, or too little is known. `arrived` is what the run
    found new or changed."""
    arguments = {
        "source": source_id,
        "run": run_id,
        "pulls": PULLS,
        "finished": [state.value for state in STATES],
    }
    with database.transaction(engine) as connection:
        volume = connection.execute(sa.text(_VOLUME), arguments).one()
        silence = connection.execute(sa.text(_SILENCE), arguments).one()
        languages = connection.execute(sa.text(_LANGUAGES), arguments).one()
    said = []
    if volume.runs >= MIN_RUNS and arrived > FACTOR * volume.high + MIN_RUNS:
        said.append(f"{arrived:,} records arrived; in four weeks it was {volume.high:,} at most")
    if volume.runs >= MIN_RUNS and arrived < volume.low / FACTOR - 1:
        said.append(f"{arrived:,} records arrived; in four weeks it was {volume.low:,} at least")
    if silence.gaps > MIN_RUNS and silence.since > FACTOR * silence.longest:
        hours, usual = silence.since / 3600, silence.longest / 3600
        said.append(f"nothing new for {hours:.1f} h; in four weeks it was {usual:.1f} h at most")
    share = languages.now / languages.records if languages.records >= MIN_RECORDS else 0.0
    if languages.usual is not None and share > max(FACTOR * languages.usual, MIN_SHARE):
        said.append(
            f"{share:.0%} of the newest day's records are in languages that the model does not"
            f" read; in the four weeks before it was {languages.usual:.0%}"
        )
    return said
