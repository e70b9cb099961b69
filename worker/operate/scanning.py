"""Looking for records that a source has no more: a run of its own, at its own times."""

from __future__ import annotations

from worker.errors import ConfigurationError
from worker.operate.worker import Worker
from worker.pipeline.scan import ScanFeed
from worker.pipeline.work import Work
from worker.ports import Countable
from worker.records import Lane
from worker.sources import kinds
from worker.sources.config import SourceConfig
from worker.sources.kinds import Opening
from worker.states import Trigger

MOST = 0.2
"""Of all records the share that may be gone at once, where the configuration says nothing."""


def scan_work(worker: Worker, config: SourceConfig, opening: Opening, most: float | None) -> Work:
    """A run that marks what is gone. `most` in place of the configuration's. Raises
    ConfigurationError for a source that cannot say which records it has."""
    source = kinds.open_source(config, opening)
    if not isinstance(source, Countable):
        raise ConfigurationError(
            f"A source of kind {config.kind!r} cannot say which records it has no more.",
            hint="A source of kind sql can.",
        )
    if most is None:
        most = config.scan.most if config.scan else MOST
    source_id = worker.ledger.source_id(config.name, config.kind)
    feed = ScanFeed(worker.parts.journal, source_id, source, most)
    return Work(config.name, Lane(source_id), feed, Trigger.SCAN)
