"""Which transaction keeps committed rows from being read: a source in commit order waits for the
oldest one that may still write, in whichever database of the cluster it was begun."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from worker.records import Remark

# Ids in these views have 32 bits. Of other logins' sessions only a member of pg_monitor sees more
# than the process id: https://www.postgresql.org/docs/current/monitoring-stats.html
_SESSION = """
SELECT 'session ' || pid || ' (' || concat_ws(', ', 'user ' || usename, 'database ' || datname,
           nullif(application_name, ''), state) || ')' AS who,
       extract(epoch FROM now() - xact_start)::float8 AS seconds
FROM pg_stat_activity
WHERE backend_xid::text::bigint = mod(CAST(:xid AS numeric), 4294967296)
UNION ALL
SELECT 'the prepared transaction ' || quote_literal(gid) || ' (user ' || owner || ', database '
           || database || '; COMMIT PREPARED or ROLLBACK PREPARED ends it)',
       extract(epoch FROM now() - prepared)::float8
FROM pg_prepared_xacts
WHERE transaction::text::bigint = mod(CAST(:xid AS numeric), 4294967296)
LIMIT 1
"""

_UNSEEN = "; since when, only a login with pg_monitor sees (GRANT pg_monitor TO this one)"


def behind(engine: Engine, xid: int) -> Remark:
    """What the rows from `xid` on wait for."""
    with engine.connect() as connection:
        found: Any = connection.execute(sa.text(_SESSION), {"xid": xid}).first()
    who = found.who if found else "a transaction that is not listed (it may just have ended)"
    if found is None or found.seconds is None:
        return Remark(f"committed rows wait behind {who}{_UNSEEN if found else ''}", 0.0)
    what = f"committed rows wait behind {who}, open for {found.seconds:,.0f} s"
    return Remark(what, float(found.seconds))
