"""The journal against a model: whatever is ingested, claimed, settled, expired, crashed,
rewritten and redriven in whatever order, every record ends with one current score of its text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine

from tests.faults.conftest import Note, Scale
from tests.faults.mix import verdict
from tests.faults.world import World
from tests.make import record
from tests.rollups import WRONG_DAYS
from worker import chunk
from worker.pipeline import judge
from worker.pipeline.judge import release
from worker.records import (
    Answer,
    Lane,
    Lease,
    Opinion,
    Page,
    ScorerId,
    Settlement,
    SettlementKind,
)
from worker.store import database
from worker.store.analytics import overrides, rollup
from worker.store.journal.journal import PostgresJournal
from worker.store.ledger.runs import PostgresLedger

pytestmark = pytest.mark.timeout(1800)

MODEL = ScorerId("lambda", "faulty", "1", languages=("de", "en"))
LANGUAGES = ("de", "en", "nl", None)
BLOB = ScorerId("textblob", "pattern-en", "0")
PLANNER = partial(chunk.plan, max_items=3, max_bytes=10_000)
NAMES = itertools.count()

IDS = st.integers(1, 12)
TEXTS = st.sampled_from(["a", "b", "c", "a good day", "x" * 50, "", "a\0"])
WORKERS = st.sampled_from(["w1", "w2"])


class JournalMachine(RuleBasedStateMachine):
    """Two workers at one source; `engine` is set by the test."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        ledger = PostgresLedger(self.engine, worker="model", patience_s=5)
        self.ledger = ledger
        self.source_id = ledger.source_id(f"s{next(NAMES)}", "file")
        self.run_id = ledger.start(Lane(self.source_id), "once")
        self.journals = {
            name: PostgresJournal(self.engine, worker=name, lease_s=60, patience_s=5, parked_s=0)
            for name in ("w1", "w2")
        }
        self.truth: dict[str, str] = {}
        self.stored: dict[str, str] = {}
        self.version = 0
        self.hands: dict[str, list[Lease]] = {"w1": [], "w2": []}
        self.asleep: list[Lease] = []

    @rule(changes=st.dictionaries(IDS, TEXTS, min_size=1, max_size=8))
    def write(self, changes: dict[int, str]) -> None:
        """The source's own life: new records, rewritten ones, some with nothing to say."""
        self.truth |= {str(id_): text for id_, text in changes.items()}

    @rule(worker=WORKERS)
    def ingest(self, worker: str) -> None:
        """A page with everything the source holds, as a re-read overlap would bring it."""
        page = Page("p", {"at": self.version}, [_record(i, t) for i, t in self.truth.items()])
        taken, _ = self.journals[worker].ingest(
            self.source_id, self.run_id, [(page, self.version)], PLANNER
        )
        self.version += 1
        self.stored = dict(self.truth)
        self.hands[worker] += taken

    @rule(worker=WORKERS, count=st.integers(1, 5), parked=st.booleans())
    def claim(self, worker: str, count: int, parked: bool) -> None:
        journal = self.journals[worker]
        self.hands[worker] += journal.claim(Lane(self.source_id), self.run_id, count, parked=parked)

    @precondition(lambda self: any(self.hands.values()))
    @rule(data=st.data(), kind=st.sampled_from(["done", "retry", "park", "split", "release"]))
    def settle(self, data: st.DataObject, kind: str) -> None:
        worker = data.draw(st.sampled_from([w for w, hand in self.hands.items() if hand]))
        lease = self.hands[worker].pop(0)
        self._settle(worker, _settlement(lease, kind))

    @precondition(lambda self: self.asleep)
    @rule(worker=WORKERS, kind=st.sampled_from(["done", "retry", "park"]))
    def a_sleeper_wakes(self, worker: str, kind: str) -> None:
        """Its fence has moved, or its chunk was settled: it must change nothing."""
        self._settle(worker, _settlement(self.asleep.pop(), kind))

    @rule()
    def leases_expire(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE sentiment.chunk SET visible_at = now() WHERE source_id = :s"),
                {"s": self.source_id},
            )

    @rule(worker=WORKERS)
    def crash(self, worker: str) -> None:
        """Its leases are forgotten; some of them will wake up later."""
        self.asleep += self.hands[worker]
        self.hands[worker] = []

    @rule()
    def a_new_run(self) -> None:
        """Under the source's lock, everybody else is gone."""
        self.asleep += self.hands["w1"] + self.hands["w2"]
        self.hands = {"w1": [], "w2": []}
        self.run_id = self.ledger.start(Lane(self.source_id), "once")

    @rule(id_=IDS)
    def redrive(self, id_: int) -> None:
        rows = self._rows(str(id_))
        self.journals["w1"].requeue(self.source_id, self.run_id, [row.record_id for row in rows])

    @precondition(lambda self: self.stored)
    @rule(id_=IDS, takes_back=st.booleans())
    def correct(self, id_: int, takes_back: bool) -> None:
        """A person says otherwise, or takes that back."""
        for row in self._rows(str(id_)):
            overrides.put(
                self.engine, row.record_id, None if takes_back else "negative", by="a", why="b"
            )

    @rule()
    def fold(self) -> None:
        self._fold()

    @invariant()
    def nothing_is_invented(self) -> None:
        """What is stored is what was ingested; a final score is the verdict on this very text."""
        rows = self._rows()
        assert {row.external_id: row.text for row in rows} == {
            id_: text.replace("\0", "") for id_, text in self.stored.items()
        }
        for row in rows:
            if row.machine_label is not None and row.scorer == "lambda":
                assert row.machine_label == verdict(row.text).label

    def teardown(self) -> None:
        """Nothing is lost: when everything that can be done was done, every text has its score."""
        self.ingest("w1")
        self.a_new_run()
        self.asleep.clear()
        for _ in range(200):
            self.leases_expire()
            taken = self.journals["w1"].claim(Lane(self.source_id), self.run_id, 50, parked=True)
            if not taken:
                break
            self.journals["w1"].settle(self.run_id, [_settlement(lease, "done") for lease in taken])
        for row in self._rows():
            if row.text.strip():
                assert row.machine_label is not None, row
                assert not row.provisional, row
            else:
                assert row.machine_label is None
        self._fold()
        assert not self.journals["w1"].pending(Lane(self.source_id)).records

    def _settle(self, worker: str, settlement: Settlement) -> None:
        self.journals[worker].settle(self.run_id, [settlement])

    def _fold(self) -> None:
        """What is rolled up by day is what counting it all anew would give."""
        rollup.fold(self.engine)
        with self.engine.connect() as connection:
            assert not list(connection.execute(sa.text(WRONG_DAYS)))

    def _rows(self, external_id: str | None = None) -> list[Any]:
        """What an analyst sees of this source, or of one record of it."""
        sql = """
            SELECT c.* FROM analytics.current_sentiment c
            JOIN sentiment.record r ON r.id = c.record_id
            WHERE r.source_id = :source AND c.external_id = coalesce(:id, c.external_id)
        """
        with self.engine.connect() as connection:
            values = {"source": self.source_id, "id": external_id}
            return list(connection.execute(sa.text(sql), values))


def _record(id_: str, text: str) -> Any:
    return record(id_, text.replace("\0", ""))


def _settlement(lease: Lease, kind: str) -> Settlement:
    items = lease.chunk.items
    if kind == "done" or not items:
        opinions = []
        for item in items:
            said = verdict(item.text)
            language = LANGUAGES[len(item.text) % len(LANGUAGES)]
            opinions.append(Opinion(said.label, said.score, said.polarity, language))
        return judge._done(lease, Answer(MODEL, opinions))
    if kind == "retry":
        return Settlement(lease, SettlementKind.RETRY, attempts=1, reason="x", repeats=1)
    if kind == "split" and len(items) > 1:
        parts = chunk.split(items, 3)
        return Settlement(lease, SettlementKind.SPLIT, parts=parts, attempts=1, reason="x")
    if kind == "park":
        scores = [(m, Opinion("neutral", 0.5, 0.0)) for item in items for m in item.members]
        return Settlement(
            lease,
            SettlementKind.PARK,
            scores=scores,
            scorer=BLOB,
            fallback_reason="away",
            reason="x",
        )
    return release(lease)


@contextmanager
def _engine(world: World) -> Iterator[Engine]:
    engine = database.make_engine(world.url, application="tests")
    try:
        yield engine
    finally:
        engine.dispose()


def test_the_journal_against_a_model(
    world: World, scale: Scale, note: Note, request: pytest.FixtureRequest
) -> None:
    examples = scale.of(50, 500)
    with _engine(world) as engine:
        JournalMachine.engine = engine
        run_state_machine_as_test(
            JournalMachine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=30,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    note(
        "12",
        "a stateful property test: ingest, claim, settle, expire, crash, rewrite, redrive, wake up"
        " late, in any order",
        f"{examples} examples hold against the model",
        "50 in CI, 500 by a command",
    )
