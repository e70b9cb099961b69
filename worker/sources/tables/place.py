"""What a cursor is a position in. The same number means nothing in another table, or in another
cluster, whose transaction ids and sequences start over: rows would be skipped silently."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Engine, exc

from worker import urls
from worker.errors import ConfigurationError
from worker.sources.tables import keys

# A cluster's identifier is given by initdb; a copy of its files keeps it, a dump does not.
# https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-CONTROLDATA
# The control file knows a new timeline from the checkpoint after a promotion on; a primary's WAL at
# once.
_CLUSTER = """
SELECT system_identifier::text AS system, CASE
    WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
END AS timeline
FROM pg_control_system()
"""

_NAMES = {
    "database": "the database",
    "system": "the PostgreSQL cluster",
    "table": "the table",
    "cursor": "the cursor's column",
    "type": "the cursor's type",
}


def of(engine: Engine, table: str | None, cursor: ColumnElement[Any] | None) -> dict[str, Any]:
    """JSON: the database without its login, the cluster where PostgreSQL tells it, the table, the
    cursor's column and its type."""
    place: dict[str, Any] = {"database": urls.place(engine.url), "table": table}
    if cursor is not None:
        place |= {"cursor": cursor.name, "type": _kind(cursor)}
    if engine.dialect.name == "postgresql":
        # Not every role and not every relative of PostgreSQL may ask.
        with (
            contextlib.suppress(exc.ProgrammingError, exc.NotSupportedError),
            engine.connect() as connection,
        ):
            place |= connection.execute(sa.text(_CLUSTER)).mappings().one()
    return place


def carried(known: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a cluster while it does not tell: it is compared when it does again."""
    return {name: known[name] for name in ("system", "timeline") if name in known}


def require_same(known: Mapping[str, Any], now: Mapping[str, Any], source: str) -> None:
    """Raises ConfigurationError where a cursor was kept in another place than it would be used in.
    A cluster that is known may be reached by another host name."""
    one_system = known.get("system") is not None and known.get("system") == now.get("system")
    for name, called in _NAMES.items():
        was, is_now = known.get(name), now.get(name)
        if name == "database" and was and is_now:
            same = urls.name_in if one_system else urls.without_login
            was, is_now = same(was), same(is_now)
        if was != is_now and None not in (was, is_now):
            raise ConfigurationError(
                f"The source {source!r} was read up to a position in another place: {called} was"
                f" {was!r} and is {is_now!r}. Rows before that position would never be read.",
                hint=advice(source),
            )


def advice(source: str) -> str:
    """What to do where a cursor has lost its meaning."""
    return (
        "If the records are the same, read them all again, which scores only what is new:"
        f" sentiment-worker state rewind {shlex.quote(source)} --beginning --why moved. If they are"
        " others, give the source another name."
    )


def has_failed_over(known: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Has a standby taken over? It may give out numbers again that its primary had given before: to
    transactions, and to rows, that never reached it."""
    return None not in (known.get("timeline"), now.get("timeline")) and (
        known["timeline"] != now["timeline"]
    )


def same_cluster(known: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Is it the same cluster, in the same history, for certain?"""
    return all(
        known.get(name) is not None and known.get(name) == now.get(name)
        for name in ("system", "timeline")
    )


def _kind(cursor: ColumnElement[Any]) -> str | None:
    if isinstance(cursor.type, sa.types.NullType):
        return None
    if keys.is_utc(cursor):
        return "datetime in UTC"  # before 0014 it was kept in the session's zone
    try:
        kind = cursor.type.python_type.__name__
    except NotImplementedError:
        return None
    return f"{kind} with a zone" if getattr(cursor.type, "timezone", False) else kind
