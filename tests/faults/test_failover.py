"""A standby takes over: from the database of the scores, and from that of a source."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.faults.conftest import Note, Scale
from tests.faults.endpoint import FaultyLambda
from tests.faults.server import Server
from tests.faults.standby import Pair
from tests.faults.world import Truth, Workers, World, make_template
from tests.integration.test_journal import Desk, done
from tests.make import record
from worker.store import database

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(prefix="sentiment-worker-pair-") as home:
        Path(home).chmod(0o755)
        with Pair(Path(home)) as pair:
            make_template(pair)
            yield pair


class Apart(World):
    """A world whose source is in another one, on another server."""

    def __init__(
        self, source: World, server: Server, folder: Path, endpoint: FaultyLambda, rng: Random
    ) -> None:
        self.source = source
        super().__init__(server, folder, endpoint, rng)

    def configure(self, *tables: str, every: str = "1s", cursor: str = 'cursor = "tx"') -> None:
        self.source.config = self.config
        self.source.configure(*tables, every=every, cursor=cursor)

    def truth(self, *tables: str) -> Truth:
        return self.truth_of(
            {
                (table, str(id_)): body
                for table in tables or ("review", "other")
                for id_, body in self.source.rows(f"SELECT id, body FROM public.{table}")
            }
        )


class Places:
    """Worlds with one of their two databases, or both, on the pair."""

    def __init__(
        self, pair: Pair, server: Server, folder: Path, endpoint: FaultyLambda, rng: Random
    ) -> None:
        self._pair = pair
        self._server = server
        self._more = (folder, endpoint, rng)

    @contextmanager
    def of(self, what: str) -> Iterator[tuple[World, World]]:
        """Where scores are kept, and where the source is; `what` is on the pair."""
        if what == "both":
            with World(self._pair, *self._more) as world:
                yield world, world
            return
        kept, read = (self._pair, self._server)[:: 1 if what == "scores" else -1]
        with World(read, *self._more) as source, Apart(source, kept, *self._more) as world:
            yield world, source


@pytest.fixture
def places(
    pair: Pair, server: Server, tmp_path: Path, endpoint: FaultyLambda, rng: Random
) -> Places:
    return Places(pair, server, tmp_path, endpoint, rng)


@pytest.mark.parametrize("what", ["scores", "source", "both"])
def test_a_standby_takes_over_in_the_middle_of_runs(
    what: str, places: Places, pair: Pair, scale: Scale, note: Note
) -> None:
    """A synchronous one, which has all that was acknowledged: nothing may be missing."""
    times, rows = scale.of(2, 10), scale.of(600, 6_000)
    with places.of(what) as (world, source):
        world.endpoint.latency_s = 0.1
        with Workers(world, 2) as workers, source.writers(3, rows=rows, pause_s=0.3) as writers:
            for _ in range(times):
                pair.follow(synchronous=True)
                time.sleep(world.rng.uniform(0.3, 1.0))
                pair.crash()
                time.sleep(world.rng.uniform(0.3, 1.0))
            world.wait_until(lambda: writers.finished, patience_s=300)
            log = world.config.with_suffix(".log").read_text()
            assert all(process.poll() is None for process in workers._processes)
        world.settle()
        truth = world.truth()
    note(
        "3",
        f"a synchronous standby took over {times} times during the runs, database of {what}",
        str(truth),
        "0/0",
    )
    assert truth.clean, truth
    assert "source.failed_over" in log or what == "scores", "a source is read whole again"
    assert "stamina.retry_scheduled" in log or what == "source", "the runs did not meet it"


def test_a_standby_of_the_scores_that_lacks_commits(
    places: Places, pair: Pair, tmp_path: Path, note: Note
) -> None:
    """Records and cursor go back together: what was lost is read again, and sent again."""
    file = tmp_path / "reviews.csv"
    file.write_text("id,text\n" + "".join(f"{n},text {n} is good\n" for n in range(100)))
    with places.of("scores") as (world, source):
        world.configure("review")
        with world.config.open("a") as config:
            config.write(f'\n[[source]]\nname = "file"\nkind = "file"\npath = "{file}"\n')
        source.fill(100)
        world.settle()
        pair.follow(synchronous=False)
        pair.cut_off()
        source.fill(300)
        with file.open("a") as rows:
            rows.writelines(f"{n},text {n} is good\n" for n in range(100, 400))
        world.settle()
        assert world.count("sentiment.record") == 800
        pair.crash()
        lost = 800 - world.count("sentiment.record")
        world.settle()
        of_file = "SELECT count(*) FROM analytics.current_sentiment WHERE source = 'file'"
        ((read_again,),) = world.rows(f"{of_file} AND NOT provisional")
        truth = world.truth("review")
    note(
        "3",
        f"a standby took over that lacked {lost} acknowledged records of a table elsewhere and a"
        " file",
        f"{truth}; {read_again} of 400 rows of the file",
        "0/0, all",
    )
    assert lost == 600
    assert truth.lost == truth.doubled == truth.stale == truth.miscounted == 0, truth
    assert read_again == truth.invented == 400, "the file's, of which the table knows nothing"


@pytest.mark.parametrize(
    "cursor", ['cursor = "tx"', 'cursor = "id"\noverlap = 10'], ids=["xid8", "id"]
)
def test_a_standby_of_the_source_that_lacks_commits(
    cursor: str, places: Places, pair: Pair, note: Note
) -> None:
    """It gives out the same ids and transaction ids again, to other rows: all of them are read.
    Rows that are gone stay as records, as always."""
    with places.of("source") as (world, source):
        world.configure("review", cursor=cursor)
        source.fill(100)
        world.settle()
        pair.follow(synchronous=False)
        pair.cut_off()
        source.fill(300)
        world.settle()
        pair.crash()
        source.fill(400)
        world.settle()
        truth, gone = world.truth("review"), 300 + 100 + 400 - source.count("review")
    note(
        "3",
        f"a standby took over that lacked {gone} rows of a source, which had been read",
        f"{truth} (rows that are gone)",
        "0/0",
    )
    assert truth.lost == truth.doubled == truth.stale == 0, truth
    assert truth.invented < 300, "ids did not come again"


def test_a_lease_that_the_standby_never_heard_of(
    pair: Pair, tmp_path: Path, endpoint: FaultyLambda, rng: Random
) -> None:
    """Its chunk's number belongs to another one now, which it must not settle."""
    with World(pair, tmp_path, endpoint, rng) as world:
        engine = database.make_engine(world.url, application="tests")
        sleeper = Desk(engine, name="w1")
        pair.follow(synchronous=False)
        pair.cut_off()
        leases = sleeper.ingest(*(record(f"lost {n}", f"lost {n}") for n in range(100)))
        pair.crash()
        other = Desk(engine, name="w2")
        wanted = other.ingest(*(record(f"kept {n}", f"kept {n}") for n in range(100)))
        sleeper.settle(*map(done, leases))
        other.settle(*map(done, wanted))
        labels = [row[1] for row in other.current()]
        engine.dispose()
    assert labels == ["positive"] * 100
