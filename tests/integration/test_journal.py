"""The journal against a real PostgreSQL: transactions, leases, fences, replays."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from tests.make import record
from worker import chunk
from worker.errors import CursorMoved, SourceBusy, TakenOver
from worker.pipeline import judge
from worker.records import (
    Answer,
    Lane,
    Lease,
    Opinion,
    Page,
    Record,
    Refusal,
    ScorerId,
    Settlement,
    SettlementKind,
)
from worker.store import database
from worker.store.journal.journal import PostgresJournal
from worker.store.ledger.runs import PostgresLedger

MODEL = ScorerId("lambda", "model", "1")
OTHER = ScorerId("lambda", "model", "2")
BLOB = ScorerId("textblob", "pattern-en", "0")
GOOD = Opinion("positive", 0.9, 0.8)
PLANNER = partial(chunk.plan, max_items=2, max_bytes=10_000)


class Desk:
    """A worker at the journal."""

    def __init__(
        self, engine: Engine, *, name: str = "w1", run_id: int | None = None, **more: Any
    ) -> None:
        self.engine = engine
        options: dict[str, Any] = {"lease_s": 60, "patience_s": 5} | more
        self.journal = PostgresJournal(engine, worker=name, **options)
        ledger = PostgresLedger(engine, worker=name, patience_s=5)
        self.source_id = ledger.source_id("s", "file")
        self.run_id = run_id or ledger.start(Lane(self.source_id), "once")

    def ingest(self, *records: Record, version: int = 0, **more: Any) -> list[Lease]:
        page = Page("p", {"offset": version + 1}, records, **more)
        return self.journal.ingest(self.source_id, self.run_id, [(page, version)], PLANNER)[0]

    def claim(self, count: int = 10, *, parked: bool = False) -> list[Lease]:
        return self.journal.claim(Lane(self.source_id), self.run_id, count, parked=parked)

    def settle(self, *settlements: Settlement) -> dict[str, int]:
        return dict(self.journal.settle(self.run_id, settlements))

    def rows(self, sql: str) -> list[Any]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(sql))]

    def expire(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text("UPDATE sentiment.chunk SET visible_at = now()"))

    def current(self) -> list[Any]:
        return self.rows(
            "SELECT external_id, label, scorer, model_version, provisional"
            " FROM analytics.current_sentiment ORDER BY external_id"
        )


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine)


def done(lease: Lease, scorer: ScorerId = MODEL, opinion: Opinion = GOOD) -> Settlement:
    return judge._done(lease, Answer(scorer, [opinion] * len(lease.chunk.items)))


def parked(lease: Lease) -> Settlement:
    scores = [(m, Opinion("neutral", 1.0, 0.0)) for i in lease.chunk.items for m in i.members]
    return Settlement(
        lease,
        SettlementKind.PARK,
        scores=scores,
        scorer=BLOB,
        fallback_reason="down",
        reason="down",
        after_s=30,
    )


def test_records_chunks_and_cursor_in_one_commit(desk: Desk) -> None:
    leases = desk.ingest(record("1", "a"), record("2", "b"), record("3", "c"), record("4", ""))
    assert [lease.chunk.record_count for lease in leases] == [2, 1]
    assert desk.journal.positions(desk.source_id) == {"p": ({"offset": 1}, 1)}
    assert desk.rows("SELECT read, new, skipped FROM sentiment.run") == [(4, 4, 1)]
    assert desk.claim() == []


def test_a_failing_ingest_leaves_nothing(desk: Desk) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        desk.ingest(record("1", "a"), record("x" * 2000, "b"))
    assert desk.rows("SELECT count(*) FROM sentiment.record") == [(0,)]
    assert desk.journal.positions(desk.source_id) == {}


def test_the_same_page_again_changes_nothing_and_sends_nothing(desk: Desk) -> None:
    for lease in desk.ingest(record("1", "a"), record("2", "b")):
        desk.settle(done(lease))
    assert desk.ingest(record("1", "a"), record("2", "b"), version=1) == []
    assert desk.rows("SELECT new, unchanged FROM sentiment.run") == [(2, 2)]


def test_a_rewritten_record_is_scored_again_and_its_history_kept(desk: Desk) -> None:
    (lease,) = desk.ingest(record("1", "a"))
    desk.settle(done(lease))
    (again,) = desk.ingest(record("1", "b"), version=1)
    assert desk.current() == [("1", None, None, None, None)]
    desk.settle(done(again, opinion=Opinion("negative", 0.7, -0.6)))
    assert desk.current() == [("1", "negative", "lambda", "1", False)]
    assert desk.rows("SELECT text, revision FROM sentiment.revision") == [("a", 1)]
    assert desk.rows("SELECT count(*) FROM sentiment.score") == [(2,)]
    assert desk.ingest(record("1", "a"), version=2) == [], "written back: the old score is its own"
    assert desk.current() == [("1", "positive", "lambda", "1", False)]


def test_a_record_rewritten_before_it_was_scored_is_sent_once(desk: Desk) -> None:
    desk.ingest(record("1", "a"))
    (newer,) = desk.ingest(record("1", "b"), version=1)
    desk.settle(done(newer))
    desk.expire()
    (stale,) = desk.claim()
    assert stale.chunk.items == ()
    desk.settle(judge.release(stale))
    (stale,) = desk.claim()
    desk.settle(Settlement(stale, SettlementKind.DONE))
    assert desk.rows("SELECT superseded FROM sentiment.run") == [(1,)], "however often claimed"


def test_of_one_id_twice_in_a_page_the_last_wins(desk: Desk) -> None:
    (lease,) = desk.ingest(record("1", "a"), record("1", "b"))
    assert [item.text for item in lease.chunk.items] == ["b"]
    assert desk.rows("SELECT read, new, duplicate FROM sentiment.run") == [(2, 1, 1)]


def test_a_cursor_that_another_run_moved_is_not_moved_again(desk: Desk) -> None:
    desk.ingest(record("1", "a"))
    with pytest.raises(CursorMoved):
        Desk(desk.engine, name="w2").ingest(record("2", "b"))
    assert desk.rows("SELECT count(*) FROM sentiment.record") == [(1,)]


def test_a_lost_reply_to_commit_is_recognised_and_its_leases_taken_up(engine: Engine) -> None:
    desk = Desk(engine, fences=lambda: 77)  # as within one call
    first = desk.ingest(record("1", "a"), record("2", "b"), record("3", "c"))
    replayed = desk.ingest(record("1", "a"), record("2", "b"), record("3", "c"))
    assert sorted(lease.chunk.id for lease in replayed) == [lease.chunk.id for lease in first]
    assert desk.rows("SELECT read, new FROM sentiment.run") == [(3, 3)]
    assert desk.settle(*map(done, first))["scored"] == 3
    assert not desk.settle(*map(done, first)).get("scored")
    assert desk.rows("SELECT scored, fenced FROM sentiment.run") == [(3, 0)]


def pages_of(desk: Desk, *ids: str, versions: Sequence[int] = ()) -> list[tuple[Page, int]]:
    """A page a partition, each with one record."""
    known = versions or (0,) * len(ids)
    return [
        (Page(f"p{id_}", {"offset": version + 1}, [record(id_, f"text {id_}")]), version)
        for id_, version in zip(ids, known, strict=True)
    ]


def test_pages_that_are_stored_together_share_chunks_and_move_their_cursors(desk: Desk) -> None:
    leases, changes = desk.journal.ingest(
        desk.source_id, desk.run_id, pages_of(desk, "1", "2"), PLANNER
    )
    assert [lease.chunk.record_count for lease in leases] == [2]
    assert (changes["read"], changes["new"]) == (2, 2)
    assert {p: v for p, (_, v) in desk.journal.positions(desk.source_id).items()} == {
        "p1": 1,
        "p2": 1,
    }


def test_a_lost_reply_of_several_pages_is_recognised(engine: Engine) -> None:
    desk = Desk(engine, fences=lambda: 77)
    about = (desk.source_id, desk.run_id, pages_of(desk, "1", "2"), PLANNER)
    first, _ = desk.journal.ingest(*about)
    again, changes = desk.journal.ingest(*about)
    assert [lease.chunk.id for lease in again] == [lease.chunk.id for lease in first]
    assert changes == {}
    assert desk.rows("SELECT read FROM sentiment.run") == [(2,)]


@pytest.mark.parametrize("versions", [(0, 1), (1, 0)])
def test_one_cursor_that_moved_holds_back_all_pages_of_a_commit(
    desk: Desk, versions: tuple[int, int]
) -> None:
    desk.journal.ingest(desk.source_id, desk.run_id, pages_of(desk, "1", "2"), PLANNER)
    before = desk.journal.positions(desk.source_id)
    with pytest.raises(CursorMoved):
        desk.journal.ingest(
            desk.source_id, desk.run_id, pages_of(desk, "1", "2", versions=versions), PLANNER
        )
    assert desk.journal.positions(desk.source_id) == before


def test_a_lease_that_ended_is_claimed_by_another_and_the_first_is_fenced(desk: Desk) -> None:
    (stale,) = desk.ingest(record("1", "a"))
    other = Desk(desk.engine, name="w2", run_id=desk.run_id)
    assert other.claim() == []
    desk.expire()
    (taken,) = other.claim()
    assert taken.fence == stale.fence + 1
    assert taken.chunk.items == stale.chunk.items
    assert desk.settle(done(stale))["fenced"] == 1
    assert desk.rows("SELECT count(*) FROM sentiment.score") == [(0,)]
    assert desk.journal.renew(desk.run_id, [stale]) == {stale.chunk.id}
    assert other.journal.renew(other.run_id, [taken]) == set()
    other.settle(done(taken))
    assert desk.current() == [("1", "positive", "lambda", "1", False)]


def test_a_stale_answer_is_refused_even_before_anybody_claimed(desk: Desk) -> None:
    (lease,) = desk.ingest(record("1", "a"))
    desk.settle(judge.release(lease))
    assert desk.rows("SELECT state, leased_by FROM sentiment.chunk") == [("open", None)]
    desk.settle(done(lease))
    assert desk.rows("SELECT count(*) FROM sentiment.score") == [(0,)]


def test_who_slept_past_its_lease_loses_lock_run_and_leases(desk: Desk) -> None:
    (lease,) = desk.ingest(record("1", "a"))
    asleep = PostgresLedger(desk.engine, worker="w1", patience_s=1, lease_s=0.2)
    patient = PostgresLedger(desk.engine, worker="w2", patience_s=1, lease_s=60)
    with asleep.exclusive(Lane(desk.source_id), "s"):
        with pytest.raises(SourceBusy), patient.exclusive(Lane(desk.source_id), "s"):
            pass
        time.sleep(0.3)
        hasty = PostgresLedger(desk.engine, worker="w3", patience_s=1, lease_s=0.2)
        with hasty.exclusive(Lane(desk.source_id), "s"):
            run_id = hasty.start(Lane(desk.source_id), "once")
            with pytest.raises(TakenOver):
                desk.journal.renew(desk.run_id, [lease])
            assert desk.settle(done(lease))["fenced"] == 1
            other = Desk(desk.engine, name="w3", run_id=run_id)
            assert [taken.chunk.id for taken in other.claim()] == [lease.chunk.id]
    with pytest.raises(TakenOver):
        asleep.finish(desk.run_id, "done", None)
    assert desk.rows("SELECT state FROM sentiment.run ORDER BY id") == [("lost",), ("running",)]


def test_a_cut_network_does_not_lock_a_process_out_of_its_own_source(desk: Desk) -> None:
    """Its client is gone; the server's session, which has the process's name, knows nothing of it
    and holds the lock."""
    cut = PostgresLedger(desk.engine, worker="w1", patience_s=1)
    with cut.exclusive(Lane(desk.source_id), "s"):
        time.sleep(0.3)
        again = PostgresLedger(desk.engine, worker="w1", patience_s=1, lease_s=0.2)
        with again.exclusive(Lane(desk.source_id), "s"):
            alive = again.start(Lane(desk.source_id), "once")
            with (
                pytest.raises(SourceBusy),
                PostgresLedger(desk.engine, worker="w1", patience_s=1, lease_s=60).exclusive(
                    Lane(desk.source_id), "s"
                ),
            ):
                pass
            again.finish(alive, "done", None)


def test_a_lock_outlives_the_servers_limit_for_idle_sessions(desk: Desk) -> None:
    name = desk.engine.url.database
    with desk.engine.begin() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {name} SET idle_session_timeout = '200ms'"))
    fresh = database.make_engine(
        desk.engine.url.render_as_string(hide_password=False), application="tests"
    )
    ours = PostgresLedger(fresh, worker="w1", patience_s=1)
    other = PostgresLedger(fresh, worker="w2", patience_s=1)
    with ours.exclusive(Lane(desk.source_id), "s"):
        time.sleep(0.8)
        with pytest.raises(SourceBusy), other.exclusive(Lane(desk.source_id), "s"):
            pass
    fresh.dispose()


def test_a_lane_outlives_the_session_that_locked_it(desk: Desk) -> None:
    """Somebody ended the session: from the next heartbeat on the row alone holds the lane."""
    lane = Lane(desk.source_id)
    ours = PostgresLedger(desk.engine, worker="w1", patience_s=1)
    other = PostgresLedger(desk.engine, worker="w2", patience_s=1)
    with ours.exclusive(lane, "s"):
        ended = desk.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'sentiment-worker w1'"
        )
        assert len(ended) == 1
        time.sleep(0.2)
        desk.journal.renew(desk.run_id, [])
        with pytest.raises(SourceBusy, match="w1"), other.exclusive(lane, "s"):
            pass
    with other.exclusive(lane, "s"):
        pass


def test_a_worker_with_a_shorter_lease_does_not_end_a_healthy_run(desk: Desk) -> None:
    lane = Lane(desk.source_id)
    with PostgresLedger(desk.engine, worker="w1", patience_s=1, lease_s=60).exclusive(lane, "s"):
        time.sleep(0.3)
        hasty = PostgresLedger(desk.engine, worker="w2", patience_s=1, lease_s=0.2)
        with pytest.raises(SourceBusy), hasty.exclusive(lane, "s"):
            pass


def test_a_killed_process_holds_nothing(desk: Desk) -> None:
    lane = Lane(desk.source_id)
    killed = PostgresLedger(desk.engine, worker="w1", patience_s=1).exclusive(lane, "s")
    killed.__enter__()
    desk.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'sentiment-worker w1'"
    )
    time.sleep(0.2)
    with PostgresLedger(desk.engine, worker="w2", patience_s=1).exclusive(lane, "s"):
        pass
    killed.__exit__(None, None, None)


def test_two_workers_never_claim_the_same_chunk(desk: Desk) -> None:
    desk.ingest(*(record(str(n), f"text {n}") for n in range(200)))
    desk.expire()
    claimed: list[int] = []

    def work(name: str) -> None:
        other = Desk(desk.engine, name=name, run_id=desk.run_id)
        while leases := other.claim(3):
            claimed.extend(lease.chunk.id for lease in leases)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(2, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(set(claimed))
    assert len(claimed) == 100


def test_a_provisional_score_is_marked_kept_waiting_and_replaced(desk: Desk) -> None:
    (lease,) = desk.ingest(record("1", "a"))
    desk.settle(parked(lease))
    assert desk.current() == [("1", "neutral", "textblob", "0", True)]
    assert desk.claim() == [], "parked work is claimed only when asked for"
    assert Desk(desk.engine, name="w2", parked_s=0).claim(parked=True) == [], "it rests"
    desk = Desk(desk.engine, name="w3")
    (waiting,) = desk.claim(parked=True)
    assert waiting.chunk.provisional
    assert waiting.chunk.parked
    desk.settle(done(waiting))
    assert desk.current() == [("1", "positive", "lambda", "1", False)]
    assert desk.rows("SELECT count(*) FROM sentiment.score") == [(2,)]


def test_a_record_old_enough_is_handed_out_for_a_provisional_score_while_all_waits(
    desk: Desk,
) -> None:
    old, young = desk.ingest(record("1", "a"), record("2", "b"), record("3", "c"))
    desk.settle(*(Settlement(x, SettlementKind.PARK, reason="down") for x in (old, young)))
    with desk.engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE sentiment.chunk SET created_at = now() - interval '11 min' WHERE id = :id"
            ),
            {"id": old.chunk.id},
        )
    patient = Desk(desk.engine, name="w2", overdue_s=600)
    pending = patient.journal.pending(Lane(desk.source_id))
    assert pending.overdue_in_s is not None
    assert pending.overdue_in_s < 0
    assert desk.journal.pending(Lane(desk.source_id)).overdue_in_s is None, "defer: never"
    assert [lease.chunk.id for lease in patient.claim()] == [old.chunk.id]
    assert Desk(desk.engine, name="w3").claim() == [], "defer: never"


def test_a_fallback_never_lies_over_a_models_score(desk: Desk) -> None:
    (lease,) = desk.ingest(record("1", "a"))
    desk.settle(done(lease))
    with desk.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO sentiment.scorer (provider, model, version)"
                " VALUES ('textblob', 'p', '0');"
                "INSERT INTO sentiment.score SELECT record_id, content_hash, (SELECT max(id) FROM"
                " sentiment.scorer), 'negative', 1, -1, true, 'down', 1, 1, now() + interval '1 h'"
                " FROM sentiment.score"
            )
        )
    assert desk.current() == [("1", "positive", "lambda", "1", False)]


def test_a_new_model_version_speaks_only_where_it_is_alone_until_promoted(desk: Desk) -> None:
    first, second = desk.ingest(*(record(str(n), f"text {n}") for n in range(3)))
    desk.settle(done(first), done(second, OTHER))
    assert {row[3] for row in desk.current()} == {"1", "2"}
    assert desk.rows("SELECT version FROM sentiment.scorer WHERE promoted_at IS NOT NULL") == [
        ("1",)
    ]


def test_a_split_makes_children_with_their_parents_history(desk: Desk) -> None:
    (lease,) = desk.ingest(record("1", "a"), record("2", "b"))
    parts = chunk.split(lease.chunk.items, 2)
    desk.settle(Settlement(lease, SettlementKind.SPLIT, parts=parts, reason="bad", repeats=2))
    children = desk.claim()
    assert [child.chunk.record_count for child in children] == [1, 1]
    assert {child.chunk.root_id for child in children} == {lease.chunk.id}
    assert {(c.chunk.last_reason, c.chunk.repeats) for c in children} == {("bad", 2)}


def test_a_dead_chunk_is_in_quarantine_with_its_reason(desk: Desk) -> None:
    (lease,) = desk.ingest(record("1", "poison " * 2000))
    desk.settle(Settlement(lease, SettlementKind.DEAD, reason="function_ValueError"))
    ((stage, offset, reason, size),) = desk.rows(
        'SELECT stage, "offset", reason, octet_length(raw) FROM sentiment.quarantine'
    )
    assert (stage, offset, reason, size) == ("score", "record 1", "function_ValueError", 4096)
    assert desk.journal.pending(Lane(desk.source_id)).records == 0


def test_a_refused_row_is_kept_once_however_often_it_is_read(desk: Desk) -> None:
    refusal = Refusal("line 3", "not JSON", b"\xff" * 9000)
    desk.ingest(refusals=(refusal,))
    desk.ingest(refusals=(refusal,), version=1)
    assert desk.rows("SELECT count(*), max(octet_length(raw)) FROM sentiment.quarantine") == [
        (1, 4096)
    ]


def test_what_is_due_and_what_waits_is_told(desk: Desk) -> None:
    first, second = desk.ingest(*(record(str(n), f"text {n}") for n in range(3)))
    desk.settle(parked(first), Settlement(second, SettlementKind.RETRY, after_s=20, attempts=1))
    pending = desk.journal.pending(Lane(desk.source_id))
    assert (pending.records, pending.parked_records, pending.active_chunks) == (3, 2, 1)
    assert pending.active_due_in_s == pytest.approx(20, abs=2)


def test_writers_of_the_same_keys_do_not_deadlock(engine: Engine) -> None:
    """FAULTS 14, small: the rows are sorted before the upsert, so locks are taken in one order."""
    errors: list[Exception] = []

    def write(n: int) -> None:
        desk = Desk(engine, name=f"w{n}")
        keys = [str(k) for k in range(300)]
        try:
            for round_ in range(8):
                shuffled = keys[n * 31 :] + keys[: n * 31]
                page = Page(f"p{n}", {}, [record(k, f"{k} by {n} in {round_}") for k in shuffled])
                desk.journal.ingest(desk.source_id, desk.run_id, [(page, round_)], PLANNER)
        except Exception as error:  # noqa: BLE001  shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    # A deadlock would be retried and so not be seen above: the database counts them.
    sql = "SELECT pg_stat_force_next_flush(), deadlocks FROM pg_stat_database"
    with engine.connect() as connection:
        found = connection.execute(sa.text(f"{sql} WHERE datname = current_database()")).one()
    assert found.deadlocks == 0
