"""Files that are written, in pieces and in no hurry, while workers that read them are killed."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.faults import mix
from tests.faults.conftest import Note, Scale
from tests.faults.world import Workers, World
from worker.sources.files.storage import REST_S

pytestmark = pytest.mark.timeout(1800)


class Log:
    """A file that grows by rows. A piece of it may end anywhere: in an id, in a quoted field."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, str] = {}
        self._unwritten = b"" if path.suffix == ".jsonl" else b"text,id\n"

    def add(self, rng: Random) -> None:
        # Growing numbers: half of an id is often another row's.
        id_ = str(len(self.rows) + 1)
        lines = [f"{rng.getrandbits(40):x} said {rng.choice(('this', '7,8', 'so'))}"]
        text = "\n".join(lines * rng.choice((1, 1, 3)))
        self.rows[id_] = text
        if self.path.suffix == ".jsonl":
            row = json.dumps({"text": text, "id": id_}) + "\n"
        else:
            out = io.StringIO()
            csv.writer(out, lineterminator="\n").writerow((text, id_))
            row = out.getvalue()
        self._unwritten += row.encode()

    def write(self, size: int | None = None) -> None:
        with self.path.open("ab") as file:
            file.write(self._unwritten[:size])
        self._unwritten = b"" if size is None else self._unwritten[size:]


@contextmanager
def written(logs: list[Log], rng: Random) -> Iterator[None]:
    """Rows are added until the end; now and then a writer pauses for longer than a worker waits."""
    stop = threading.Event()

    def go_on(log: Log, rng: Random) -> None:
        while not stop.wait(REST_S + 0.7 if rng.random() < 0.2 else rng.uniform(0, 0.3)):
            for _ in range(rng.randint(1, 60)):
                log.add(rng)
            log.write(rng.randrange(1, 1500))
        log.write()

    threads = [threading.Thread(target=go_on, args=(log, Random(rng.random()))) for log in logs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_files_that_grow_under_workers_that_die(
    world: World, scale: Scale, rng: Random, note: Note, tmp_path: Path
) -> None:
    kills = scale.of(4, 100)
    logs = [Log(tmp_path / name) for name in ("a.csv", "b.csv", "c.jsonl")]
    world.config.write_text(
        "\n".join(
            f'[[source]]\nname = "{log.path.stem}"\nkind = "file"\npath = "{log.path}"\n'
            'every = "1s"\n'
            for log in logs
        ),
        encoding="utf-8",
    )
    for log in logs:
        log.write()
    world.endpoint.faults = mix.MIX
    with written(logs, rng), Workers(world, 2) as workers:
        while workers.kills < kills:
            time.sleep(rng.uniform(0.5, 4.0))
            workers.kill(rng.randrange(2))
    world.settle()
    held = {(log.path.stem, id_): text for log in logs for id_, text in log.rows.items()}
    seen = {
        (source, id_): (text, label, provisional)
        for source, id_, text, label, provisional in world.rows(
            "SELECT source, external_id, text, label, provisional"
            " FROM analytics.current_sentiment WHERE skip_reason IS NULL"
        )
    }
    lost = [k for k, text in held.items() if seen.get(k) != (text, mix.verdict(text).label, False)]
    invented = seen.keys() - held.keys()
    quarantined = world.count("sentiment.quarantine")
    note(
        "1",
        f"{workers.kills} random kill -9 of 2 workers that read 3 files as they are written, pieces"
        " that end anywhere, pauses longer than a reader waits",
        f"{len(held):,} rows, {len(lost)} lost or wrong, {len(invented)} invented,"
        f" {quarantined} left in quarantine",
        "0/0/0",
    )
    assert not lost
    assert not invented
    assert quarantined == 0
    assert len(held) > 100
