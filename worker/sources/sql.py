"""SQL: a table or a query of any database that SQLAlchemy speaks to."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import Field, SecretStr, model_validator

from worker.sources.config import LAYOUT, Duration, Scan, SourceConfig
from worker.sources.kinds import Kind, Opening
from worker.sources.rows.layout import Layout

if TYPE_CHECKING:
    from worker.sources.tables.source import SqlSource


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
    deleted: str | None = None
    """The column that says that a row is deleted: a time, or true."""
    deletes: Literal["scan"] | None = None
    """All ids are compared, each `deletes_every`; what is missing is gone."""
    deletes_every: Duration = timedelta(days=1)
    deletes_most: float = Field(default=0.2, gt=0, le=1)
    """More than this share of all records is not gone at once: then none is marked."""

    @model_validator(mode="after")
    def _one_relation(self) -> SqlSourceConfig:
        if (self.table is None) == (self.query is None):
            raise ValueError("give table or query, one of them")
        if self.timeout < timedelta(seconds=1):
            raise ValueError("timeout must be 1s or more")
        if self.deletes_every < timedelta(seconds=1):
            raise ValueError("deletes_every must be 1s or more")
        if "deletes_every" in self.model_fields_set and not self.deletes:
            raise ValueError('deletes_every is for deletes = "scan"')
        overlap = self.overlap
        seconds = overlap.total_seconds() if isinstance(overlap, timedelta) else overlap
        if seconds is not None and not 0 <= seconds < math.inf:
            raise ValueError("overlap must be 0 or more: it is how far each run goes back")
        return self

    @property
    def scan(self) -> Scan:
        return Scan(self.deletes_every if self.deletes else None, self.deletes_most)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of a key of several parts; of another it is empty."""
        return self.id if isinstance(self.id, tuple) and len(self.id) > 1 else ()

    @property
    def layout(self) -> Layout:
        one = ":".join(self.id) if isinstance(self.id, tuple) else self.id
        return Layout(**{name: getattr(self, name) for name in LAYOUT if name != "id"}, id=one)


def open_source(config: SqlSourceConfig, _: Opening) -> SqlSource:
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
        deleted=config.deleted,
    )
    return SqlSource(config.name, target, config.layout)


KIND = Kind("sql", "a table or a query of a database", SqlSourceConfig, open_source)
