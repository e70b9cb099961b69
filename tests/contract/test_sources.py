"""What every kind of source keeps: one suite, over each kind that is ours and one that is not."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from tests.cloud import Cloud
from tests.web_api import Said, WebApi
from worker.errors import WorkerError
from worker.ports import AcknowledgedSource, Source
from worker.records import Position
from worker.sources import kinds
from worker.sources.audio import AudioSourceConfig
from worker.sources.config import SourceConfig
from worker.sources.file import FileSourceConfig
from worker.sources.http import HttpSourceConfig
from worker.sources.sql import SqlSourceConfig
from worker.sources.sqs import SqsSourceConfig
from worker.speech import Recording, Segment, Transcriber, TranscriptionOptions, TranscriptWindow
from worker.store import database

EXAMPLE = Path(__file__).parents[1] / "example_kind"
ROWS = 9_000
"""More than two pages of each kind."""

Rows = Mapping[int, str | None]
"""Texts by id; None for a row that is refused."""


class Place(Protocol):
    """Somewhere a kind of source reads, and what others do there meanwhile."""

    read_again: int
    """Rows of its overlap that each reading brings again; the store knows them."""

    @property
    def config(self) -> SourceConfig: ...

    def put(self, rows: Rows) -> None:
        """It holds these, and nothing else."""

    def add(self, rows: Rows) -> None: ...

    def vanish(self) -> None: ...

    def come_back(self) -> None: ...


class OneFile:
    """A file that is written anew, or at its end."""

    read_again = 0

    def __init__(self, folder: Path, ending: str) -> None:
        self.path = folder / f"rows.{ending}"
        self._write = {
            "csv": self._csv,
            "jsonl": self._jsonl,
            "parquet": self._parquet,
            "xlsx": self._xlsx,
            "zip": self._zip,
        }[ending]
        self.config = FileSourceConfig(name="s", path=str(self.path), id="id", text="text")
        self._rows: dict[int, str | None] = {}

    def put(self, rows: Rows) -> None:
        self._rows = dict(rows)
        self._write()

    def add(self, rows: Rows) -> None:
        self.put(self._rows | dict(rows))

    def vanish(self) -> None:
        self.path.rename(self.path.with_suffix(".away"))

    def come_back(self) -> None:
        self.path.with_suffix(".away").rename(self.path)

    def _csv(self) -> None:
        with self.path.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(("id", "text"))
            for id_, text in self._rows.items():
                out.writerow((id_, text) if text is not None else (id_, "too", "many"))

    def _jsonl(self) -> None:
        lines = [
            json.dumps({"id": id_, "text": text}) if text is not None else "{broken"
            for id_, text in self._rows.items()
        ]
        self.path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _parquet(self) -> None:
        ids = [id_ if text is not None else None for id_, text in self._rows.items()]
        texts = [text or "" for text in self._rows.values()]
        pq.write_table(pa.table({"id": pa.array(ids, pa.int64()), "text": texts}), self.path)

    def _xlsx(self) -> None:
        book = xlsxwriter.Workbook(self.path)
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ("id", "text"))
        for row, (id_, text) in enumerate(self._rows.items(), 1):
            sheet.write_row(row, 0, (id_, text) if text is not None else (None, "no id"))
        book.close()

    def _zip(self) -> None:
        inside = OneFile(self.path.parent, "jsonl")
        inside.put(self._rows)
        with zipfile.ZipFile(self.path, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.write(inside.path, "export/rows.jsonl")


class SqliteTable:
    """Read by the number of each row's last change, without an overlap: from the last one on."""

    read_again = 1

    def __init__(self, folder: Path) -> None:
        self.path = folder / "app.db"
        self.config = SqlSourceConfig.model_validate(
            {"name": "s", "url": f"sqlite:///{self.path}", "table": "review", "text": "text",
             "id": "id", "cursor": "changed", "overlap": 0}
        )  # fmt: skip
        self._changes = 0
        self._run("CREATE TABLE review (id INTEGER, text TEXT, changed INTEGER)")
        self._run("CREATE INDEX review_id ON review (id)")

    def put(self, rows: Rows) -> None:
        self._run("DELETE FROM review WHERE id NOT IN (SELECT value FROM json_each(?))",
                  json.dumps(list(rows)))  # fmt: skip
        self.add(rows)

    def add(self, rows: Rows) -> None:
        with closing(sqlite3.connect(self.path)) as app, app:
            held = dict(app.execute("SELECT id, text FROM review"))
            for id_, text in rows.items():
                if held.get(id_) != text or id_ not in held:
                    self._changes += 1
                    app.execute("DELETE FROM review WHERE id = ?", (id_,))
                    own = (id_ if text is not None else None, text or "", self._changes)
                    app.execute("INSERT INTO review VALUES (?, ?, ?)", own)

    def vanish(self) -> None:
        self.path.rename(self.path.with_suffix(".away"))

    def come_back(self) -> None:
        self.path.with_suffix(".away").rename(self.path)

    def _run(self, statement: str, *arguments: str) -> None:
        with closing(sqlite3.connect(self.path)) as app, app:
            app.execute(statement, arguments)


class PostgresTable:
    """Read in the order of commits."""

    read_again = 0

    def __init__(self, url: str) -> None:
        self._url = database.normalise_url(url).set(drivername="postgresql")
        self.config = SqlSourceConfig.model_validate(
            {"name": "s", "url": url, "table": "review", "text": "text", "cursor": "tx", "id": "id"}
        )
        self._run(
            "CREATE TABLE review (row bigint PRIMARY KEY, id bigint, text text,"
            " tx xid8 DEFAULT pg_current_xact_id())"
        )

    def put(self, rows: Rows) -> None:
        self._run("DELETE FROM review WHERE row <> ALL(%s)", list(rows))
        self.add(rows)

    def add(self, rows: Rows) -> None:
        self._run(
            "INSERT INTO review SELECT n, CASE WHEN t IS NOT NULL THEN n END, coalesce(t, '')"
            " FROM unnest(%s::bigint[], %s::text[]) AS u(n, t) ON CONFLICT (row) DO UPDATE"
            " SET text = excluded.text, tx = pg_current_xact_id()"
            " WHERE review.text <> excluded.text",
            list(rows),
            list(rows.values()),
        )

    def vanish(self) -> None:
        self._run("ALTER TABLE review RENAME TO away")

    def come_back(self) -> None:
        self._run("ALTER TABLE away RENAME TO review")

    def _run(self, statement: str, *arguments: Any) -> None:
        with psycopg.connect(self._url.render_as_string(hide_password=False)) as app:
            app.execute(statement.encode(), arguments)


class Thread:
    """Another package's kind, which reads new posts alone."""

    read_again = 0

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "threads"
        self.folder.mkdir()
        sys.path.insert(0, str(EXAMPLE))
        try:
            self.kind: kinds.Kind = import_module("sentiment_forum").KIND
        finally:
            sys.path.remove(str(EXAMPLE))
        self.config = self.kind.config.model_validate({"name": "s", "threads": str(self.folder)})
        self._rows: dict[int, str | None] = {}

    def put(self, rows: Rows) -> None:
        self._rows = dict(rows)
        posts = [{"number": n + 1, "said": text or ""} for n, text in self._rows.items()]
        (self.folder / "one.json").write_text(json.dumps(posts))

    def add(self, rows: Rows) -> None:
        self.put(self._rows | dict(rows))

    def vanish(self) -> None:
        self.folder.rename(self.folder.with_name("away"))

    def come_back(self) -> None:
        self.folder.with_name("away").rename(self.folder)


HTTP = {
    "cursor": {"url": "desk", "records": "tickets", "next": "meta.after_cursor"},
    "page": {"url": "site", "records": "reviews"},
    "offset": {"url": "plain"},
    "link": {"url": "forum"},
    "next": {"url": "chain", "records": "data", "next": "next"},
}


class Api:
    """A JSON API that is read whole each time; the store absorbs."""

    def __init__(self, pagination: str) -> None:
        self.api = WebApi(page_size=3_000)
        asked = HTTP[pagination] | {"url": self.api.url(HTTP[pagination]["url"])}
        self.config = HttpSourceConfig.model_validate(
            asked | {"name": "s", "pagination": pagination, "allow_private": ["127.0.0.1"]}
        )
        self._rows: dict[int, str | None] = {}
        self.read_again = 0

    def put(self, rows: Rows) -> None:
        self._rows = dict(rows)
        self.read_again = len(rows)
        self.api.put(self._rows)

    def add(self, rows: Rows) -> None:
        self.put(self._rows | dict(rows))

    def vanish(self) -> None:
        self.api.hurdle = lambda asked, n: Said(404, {})

    def come_back(self) -> None:
        self.api.hurdle = lambda asked, n: None


class Dropped:
    """An object in a bucket, which a queue tells of."""

    read_again = 0

    def __init__(self) -> None:
        self.cloud = Cloud()
        self._there = SqsSourceConfig(name="s", queue=self.cloud.queue, id="id", text="text")
        self.config = self._there
        self._rows: dict[int, str | None] = {}

    def put(self, rows: Rows) -> None:
        self._rows = dict(rows)
        said = ((id_, text if text is not None else "too,many") for id_, text in rows.items())
        self.cloud.put("rows.csv", *said)

    def add(self, rows: Rows) -> None:
        self.put(self._rows | dict(rows))

    def vanish(self) -> None:
        self.config = self._there.model_copy(update={"queue": f"{self.cloud.queue}-away"})

    def come_back(self) -> None:
        self.config = self._there


class Spoken:
    """A folder of recordings, a hundred segments each; a transcriber that finds what was said
    written in them."""

    read_again = 0
    A_RECORDING = 100

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "calls"
        self._folder.mkdir()
        self.config = AudioSourceConfig(
            name="s", path=str(self._folder), function="ears", split="segment"
        )
        self._rows: dict[int, str | None] = {}

    def put(self, rows: Rows) -> None:
        self._rows = dict(rows)
        said = [list(row) for row in self._rows.items()]
        for n in range(0, len(said), self.A_RECORDING):
            path = self._folder / f"{n:06}.wav"
            content = json.dumps(said[n : n + self.A_RECORDING])
            if not path.exists() or path.read_text() != content:
                path.write_text(content)
                os.utime(path, ns=(0, 1_700_000_000_000_000_000 + zlib.crc32(content.encode())))

    def add(self, rows: Rows) -> None:
        self.put(self._rows | dict(rows))

    def vanish(self) -> None:
        self._folder.rename(self._folder.with_suffix(".away"))

    def come_back(self) -> None:
        self._folder.with_suffix(".away").rename(self._folder)

    @contextmanager
    def open_transcriber(self, source: str, options: TranscriptionOptions) -> Iterator[Transcriber]:
        yield self

    def check(self) -> None: ...

    def close(self) -> None: ...

    def transcribe(self, recording: Recording, from_s: float) -> TranscriptWindow:
        assert recording.content
        segments = [
            Segment(n, n + 1.0, text or "noise", 0.9 if text else 0.1)
            for n, (_, text) in enumerate(json.loads(recording.content))
        ]
        return TranscriptWindow(segments, len(segments), True, "en", "m", "1")


def _api(pagination: str, _: Path, __: str) -> Place:
    return Api(pagination)


KINDS: dict[str, Callable[[Path, str], Place]] = {
    "csv": lambda folder, _: OneFile(folder, "csv"),
    "jsonl": lambda folder, _: OneFile(folder, "jsonl"),
    "parquet": lambda folder, _: OneFile(folder, "parquet"),
    "xlsx": lambda folder, _: OneFile(folder, "xlsx"),
    "zip": lambda folder, _: OneFile(folder, "zip"),
    "sqlite": lambda folder, _: SqliteTable(folder),
    "postgresql": lambda _, url: PostgresTable(url),
    "another package": lambda folder, _: Thread(folder),
    "sqs": lambda _, __: Dropped(),
    "audio": lambda folder, _: Spoken(folder),
    **{f"http, {pagination}": partial(_api, pagination) for pagination in HTTP},
}
REWRITES = [name for name in KINDS if name != "another package"]
REFUSES = [name for name in KINDS if name != "another package"]


@pytest.fixture
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    url = "" if request.param != "postgresql" else request.getfixturevalue("empty_database_url")
    place = KINDS[request.param](tmp_path, url)
    with getattr(place, "api", nullcontext()), getattr(place, "cloud", nullcontext()) as cloud:
        for name, value in cloud.variables.items() if cloud else ():
            monkeypatch.setenv(name, value)
        yield place


every = pytest.mark.parametrize("place", list(KINDS), indirect=True)


class Reader:
    """Reads as a run does: what it has stored of a page is JSON, and another process goes on."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.positions: dict[str, Position] = {}
        self.texts: dict[str, str] = {}
        self.refused = 0

    def source(self) -> Source:
        kind = getattr(self._place, "kind", None)
        opening = kinds.Opening(
            open_transcriber=getattr(self._place, "open_transcriber", kinds.no_transcriber)
        )
        config = self._place.config
        return kind.open(config, opening) if kind else kinds.open_source(config, opening)

    def pages(self, limit: int | None = None) -> Iterator[int]:
        """How many records each page had; `limit` pages at most."""
        source = self.source()
        for number, page in enumerate(source.pages(self.positions), 1):
            self.positions[page.partition] = json.loads(json.dumps(page.position))
            self.texts |= {record.external_id: record.text for record in page.records}
            self.refused += len(page.refusals)
            if isinstance(source, AcknowledgedSource):
                source.acknowledge([page])
            yield len(page.records)
            if number == limit:
                return

    def read(self, limit: int | None = None) -> int:
        return sum(self.pages(limit))


def texts(rows: Rows) -> list[str]:
    return sorted(text for text in rows.values() if text is not None)


def many(count: int = ROWS) -> dict[int, str | None]:
    return {n: f"text {n}" for n in range(count)}


@every
def test_all_is_read_once_and_nothing_new_gives_nothing(place: Place) -> None:
    place.put(many())
    reader = Reader(place)
    assert reader.read() == ROWS
    assert sorted(reader.texts.values()) == texts(many())
    assert reader.read() == place.read_again


@every
def test_a_process_that_dies_after_each_page_loses_nothing(place: Place) -> None:
    place.put(many())
    reader = Reader(place)
    for _ in range(ROWS):
        known = len(reader.texts)
        reader.read(limit=1)
        if len(reader.texts) == known:
            break
    assert sorted(reader.texts.values()) == texts(many())


@every
def test_what_comes_later_is_read(place: Place) -> None:
    place.put(many(100))
    reader = Reader(place)
    reader.read()
    later = {n: f"later {n}" for n in range(100, 120)}
    place.add(later)
    reader.read()
    assert sorted(reader.texts.values()) == texts(many(100) | later)


@pytest.mark.parametrize("place", REWRITES, indirect=True)
def test_what_is_rewritten_is_read_again(place: Place) -> None:
    place.put(many(100))
    reader = Reader(place)
    reader.read()
    place.put(many(100) | {7: "rewritten"})
    reader.read()
    assert sorted(reader.texts.values()) == texts(many(100) | {7: "rewritten"})


@pytest.mark.parametrize("place", REFUSES, indirect=True)
def test_a_bad_row_is_refused_and_the_others_are_read(place: Place) -> None:
    place.put(many(50) | {20: None})
    reader = Reader(place)
    reader.read()
    assert reader.refused == 1
    assert sorted(reader.texts.values()) == texts(many(50) | {20: None})


@every
def test_a_source_that_is_away_says_so_and_is_read_when_it_is_back(place: Place) -> None:
    place.put(many(100))
    place.vanish()
    reader = Reader(place)
    with pytest.raises(WorkerError):
        reader.read()
    assert reader.positions == {}
    place.come_back()
    assert reader.read() == 100


@every
def test_a_source_that_goes_away_in_the_middle_loses_nothing(place: Place) -> None:
    place.put(many())
    reader = Reader(place)
    reader.read(limit=1)
    place.vanish()
    with pytest.raises(WorkerError):
        reader.read()
    place.come_back()
    reader.read()
    assert sorted(reader.texts.values()) == texts(many())


STREAMED = [name for name in REWRITES if name not in ("sqs", "xlsx")]
"""A workbook's distinct texts are in memory; a queue's bucket would be, here."""


@pytest.mark.parametrize("place", STREAMED, indirect=True)
def test_memory_does_not_grow_with_the_rows(place: Place) -> None:
    """Of the example's kind nobody asks that: it reads a thread whole."""
    peaks = []
    for count in (8_000, 32_000):
        place.put({n: f"text {n} " + "and more " * 20 for n in range(count)})
        source = Reader(place).source()
        tracemalloc.start()
        assert sum(len(page.records) for page in source.pages({})) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0], peaks
