"""SQL: a table or a query of any database that SQLAlchemy speaks to."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Literal

from pydantic import SecretStr, model_validator

from worker.ports import Source
from worker.sources.config import LAYOUT, Duration, SourceConfig
from worker.sources.kinds import Kind, Opening
from worker.sources.rows.layout import Layout


class SqlSourceConfig(SourceConfig):
    kind: Literal["sql"] = "sql"
    id: str | tuple[str, ...] | None = None  # type: ignore[assignment]  # a key may have parts
    url: SecretStr
    table: str | None = None
    query: str | None = None
    cursor: str | None = None
    tie_breaker: str | None = None
    overlap: float | Duration | None = None
    timeout: Duration = timedelta(minutes=5)

    @model_validator(mode="after")
    def _one_relation(self) -> SqlSourceConfig:
        if (self.table is None) == (self.query is None):
            raise ValueError("give table or query, one of them")
        if self.timeout < timedelta(seconds=1):
            raise ValueError("timeout must be 1s or more")
        overlap = self.overlap
        seconds = overlap.total_seconds() if isinstance(overlap, timedelta) else overlap
        if seconds is not None and not 0 <= seconds < math.inf:
            raise ValueError("overlap must be 0 or more: it is how far each run goes back")
        return self

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of a key of several parts; of another it is empty."""
        return self.id if isinstance(self.id, tuple) and len(self.id) > 1 else ()

    @property
    def layout(self) -> Layout:
        one = ":".join(self.id) if isinstance(self.id, tuple) else self.id
        return Layout(**{name: getattr(self, name) for name in LAYOUT if name != "id"}, id=one)


def open_source(config: SqlSourceConfig, _: Opening) -> Source:
    from worker.sources.tables.engines import SqlTarget
    from worker.sources.tables.source import SqlSource  # slow to import

    target = SqlTarget(
        url=config.url.get_secret_value(),
        table=config.table,
        query=config.query,
        cursor=config.cursor,
        tie_breaker=config.tie_breaker,
        overlap=config.overlap,
        timeout_s=config.timeout.total_seconds(),
        key=config.key,
    )
    return SqlSource(config.name, target, config.layout)


KIND = Kind("sql", "a table or a query of a database", SqlSourceConfig, open_source)
