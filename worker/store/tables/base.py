"""What all tables share."""

from __future__ import annotations

from sqlalchemy import (
    DateTime,
    MetaData,
    text,
)

METADATA = MetaData(schema="sentiment")

Time = DateTime(timezone=True)

NOW = text("now()")
