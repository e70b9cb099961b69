"""Looking for records that a source has no more: a run of its own, at its own times."""

from __future__ import annotations

from worker.errors import ConfigurationError
from worker.operate.stopping import Stopper
from worker.operate.worker import Worker
from worker.pipeline.cycle import cycle
from worker.pipeline.scan import ScanFeed
from worker.pipeline.work import Work
from worker.ports import Enumerable, Silent
from worker.records import Lane
from worker.sources import kinds
from worker.sources.config import SourceConfig
from worker.sources.kinds import Opening
from worker.states import RunReport, Trigger


def scan_work(
    worker: Worker, config: SourceConfig, opening: Opening, most: float | None = None
) -> Work:
    """A run that marks what is gone, and sends nothing. `most` in place of the configuration's.
    Raises ConfigurationError for a source that cannot list its ids."""
    source = kinds.open_source(config, opening)
    if not isinstance(source, Enumerable):
        raise ConfigurationError(
            f"A source of kind {config.kind!r} cannot list its ids, so deletions cannot be"
            " detected.",
            hint="A source of kind sql can.",
        )
    source_id = worker.ledger.source_id(config.name, config.kind)
    share = config.scan.most if most is None else most
    feed = ScanFeed(worker.parts.journal, source_id, source, share)
    return Work(config.name, Lane(source_id), feed, Trigger.SCAN, claims=False)


async def scan(
    worker: Worker, config: SourceConfig, opening: Opening, most: float | None
) -> RunReport:
    """One such run, until a signal."""
    work = scan_work(worker, config, opening, most)
    stopper = Stopper(lambda: None)
    return await cycle(worker.parts, worker.ledger, work, observer=Silent(), on_start=stopper.watch)
