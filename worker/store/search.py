"""The index behind `analytics.matches`: opt-in, since each new record pays for it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Engine

from worker.store import database

INDEX = "record_words"
_SEARCHES = f"""
SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('sentiment.{INDEX}')
"""  # noqa: S608  a name of ours


def switch(engine: Engine, *, wanted: bool) -> None:
    """Make, or drop, the index behind `analytics.matches`, beside the writers. It costs each new
    record about a quarter more time, so it is there only for those who search.

    Raises ConfigurationError where the login may not.
    """
    database.require_own_session(engine, "Making an index")
    own = database.unpooled(engine, application="sentiment-worker migrations")
    with database.translated(), own.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("SET lock_timeout = 0")
        if wanted:
            connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS btree_gin")
            if connection.scalar(sa.text(_SEARCHES)):
                return
        # One that was broken off is there, and useless: made anew.
        drop = f"DROP INDEX CONCURRENTLY IF EXISTS sentiment.{INDEX}"
        connection.exec_driver_sql(drop)
        if wanted:
            connection.exec_driver_sql(
                f"CREATE INDEX CONCURRENTLY {INDEX} ON sentiment.record"
                " USING gin (source_id, to_tsvector('english', text))"
            )
            connection.exec_driver_sql("ANALYZE sentiment.record")
