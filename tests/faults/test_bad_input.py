"""Files as they arrive in real life: every row is accepted or in quarantine, nothing crashes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import pytest

from tests.acceptance.command import COMMAND
from tests.conftest import DATA, needs_data
from tests.faults.conftest import Note, Scale
from tests.faults.world import World

pytestmark = pytest.mark.timeout(900)

MEMORY_MB = 300


def test_the_corpus(world: World, tmp_path: Path, note: Note) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    subprocess.run(
        [sys.executable, "-m", "tests.faults.corpus", tmp_path], check=True, cwd=Path.cwd()
    )
    with open(tmp_path / "expected.tsv", encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file, delimiter="\t"))
    companion = tmp_path / "companion.csv"
    companion.write_text("id,text\ncompanion,a file like any other\n", encoding="utf-8")
    _configure(world, {row["name"]: [folder / row["name"], companion] for row in expected})
    code, peak_mb, said = _run(world)
    assert code == 5, said[-2000:]
    assert "Traceback" not in said
    wrong = []
    for row in expected:
        found = _outcome(world, row["name"])
        wanted = tuple(int(row[k]) for k in ("accepted", "quarantined", "skipped"))
        if wanted[0] < 0:  # cut or a bomb: what came before the damage counts
            wanted = (found[0], *wanted[1:])
        if found != wanted:
            wrong.append((row["name"], row["what"], found, wanted))
    assert not wrong, "\n".join(map(str, wrong))
    totals = [_sum(world, column) for column in ("read", "new + changed + unchanged + duplicate")]
    assert totals[0] == totals[1] + _sum(world, "quarantined")
    unscored = world.rows(
        "SELECT count(*) FROM analytics.current_sentiment WHERE label IS NULL"
        " AND skip_reason IS NULL"
    )
    assert unscored == [(0,)]
    note(
        "11",
        f"{len(expected)} bad input files, made by a script that says what each is",
        f"0 crashes, accepted + quarantined = all {totals[0]:,} rows, every file as its table says;"
        f" {peak_mb:.0f} MB",
        f"150 files, 0 crashes, under {MEMORY_MB} MB",
    )
    assert len(expected) >= 150
    assert peak_mb < MEMORY_MB


@needs_data
def test_what_arrives_in_real_life(world: World, scale: Scale, tmp_path: Path, note: Note) -> None:
    """Naughty strings, mojibake and feeds as texts and ids; files in 51 encodings, undeclared
    (without --full, every third of them)."""
    robust = DATA / "robustness"
    texts = [*_strings(robust / "blns"), *_strings(robust / "mojibake")]
    texts += [p.read_text("utf-8", "replace") for p in sorted((robust / "feeds").rglob("*.xml"))]
    _jsonl(tmp_path / "texts.jsonl", [{"id": n, "text": t} for n, t in enumerate(texts)])
    ids = list(dict.fromkeys(t for t in _strings(robust / "blns") if t.strip()))
    _jsonl(tmp_path / "ids.jsonl", [{"id": t, "text": "a good day"} for t in ids])
    undeclared = tmp_path / "encodings"
    undeclared.mkdir()
    lines = 0
    found = sorted(p for p in (robust / "encodings").rglob("*") if p.is_file())
    for path in found[:: scale.of(3, 1)]:
        raw = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\t", b" ").replace(b'"', b"'")
        name = "-".join(path.relative_to(robust / "encodings").parts)
        (undeclared / f"{name}.tsv").write_bytes(b"text\n" + raw)
        lines += 1
    _configure(
        world,
        {
            "texts": [tmp_path / "texts.jsonl"],
            "ids": [tmp_path / "ids.jsonl"],
            "undeclared": [undeclared],
        },
    )
    code, peak_mb, said = _run(world)
    assert code == 5, said[-2000:]
    assert "Traceback" not in said
    assert _outcome(world, "texts")[:2] == (len(texts), 0)
    assert _outcome(world, "ids")[:2] == (len(ids), 0)
    accepted, quarantined, _ = _outcome(world, "undeclared")
    assert accepted > 0
    assert quarantined > 0
    note(
        "11",
        f"{len(texts):,} naughty, broken and marked-up texts, {len(ids)} naughty ids, {lines} files"
        " in many encodings, none declared",
        f"0 crashes; of the encodings {accepted:,} rows accepted, {quarantined:,} in quarantine;"
        f" {peak_mb:.0f} MB",
        "0 crashes",
    )
    assert peak_mb < MEMORY_MB


def _strings(folder: Path) -> list[str]:
    found: list[str] = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        found += [line.decode("utf-8", "replace") for line in path.read_bytes().split(b"\n")]
    return found


def _jsonl(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _configure(world: World, sources: Mapping[str, Sequence[Path]]) -> None:
    """One source a file, so that its outcome can be told from the others'."""
    world.config.write_text(
        "".join(
            f'[[source]]\nname = {json.dumps(name)}\nkind = "file"\n'
            f"path = {json.dumps([str(path) for path in paths])}\n\n"
            for name, paths in sources.items()
        ),
        encoding="utf-8",
    )
    for path in (path for paths in sources.values() for path in paths):
        for file in path.rglob("*") if path.is_dir() else [path]:
            os.utime(file, (1_700_000_000, 1_700_000_000))  # one just written is watched


def _run(world: World) -> tuple[int, float, str]:
    """`once` over all of it: exit code, peak memory of the worker and its helpers, stderr."""
    with subprocess.Popen(
        [str(COMMAND), "once", "--config", str(world.config)],
        env=world.shell.variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        peak = 0.0

        def watch() -> None:
            nonlocal peak
            while process.poll() is None:
                try:
                    main = psutil.Process(process.pid)
                    family = [main, *main.children(recursive=True)]
                    peak = max(peak, sum(p.memory_info().rss for p in family) / 2**20)
                except psutil.Error:
                    pass
                time.sleep(0.2)

        thread = threading.Thread(target=watch)
        thread.start()
        _, said = process.communicate()
        thread.join()
    return process.returncode, peak, said


def _outcome(world: World, source: str) -> tuple[int, int, int]:
    """(accepted, quarantined, skipped), without the companion file."""
    with world.connect() as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM sentiment.record r WHERE r.source_id = s.id"
            "         AND r.external_id <> 'companion'),"
            "       (SELECT count(*) FROM sentiment.quarantine q WHERE q.source_id = s.id),"
            "       (SELECT count(*) FROM sentiment.record r WHERE r.source_id = s.id"
            "         AND r.skip_reason IS NOT NULL)"
            " FROM sentiment.source s WHERE name = %s",
            (source,),
        ).fetchone()
    return (row[0], row[1], row[2]) if row else (-1, -1, -1)


def _sum(world: World, expression: str) -> int:
    ((total,),) = world.rows(f"SELECT sum({expression})::bigint FROM sentiment.run")
    return int(total)


def test_a_repaired_file_leaves_quarantine(world: World, tmp_path: Path) -> None:
    file = tmp_path / "reviews.csv"
    file.write_text("id,text\n1,a good day\n2\n3,a bad day\n", encoding="utf-8")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    world.config.write_text(
        f'[[source]]\nname = "reviews"\nkind = "file"\npath = "{file}"\n', encoding="utf-8"
    )
    shell, config = world.shell, ("--config", world.config)
    done = world.once()
    assert done.code == 5
    assert "quarantine list" in done.err
    (listed,) = shell("quarantine", "list", *config, "--output", "json").data
    assert (listed["offset"], listed["stage"]) == ("line 3", "read")
    assert "2\n" in shell("quarantine", "show", listed["id"], *config).out
    (status,) = shell("status", *config, "--output", "json").data
    assert status["quarantined"] == 1
    assert shell("quarantine", "redrive", *config).code == 2, "of nothing that was named"
    dry = shell("quarantine", "redrive", "--all", "--dry-run", *config, "--output", "json")
    assert [row["id"] for row in dry.data] == [listed["id"]]
    again = shell("quarantine", "redrive", listed["id"], *config, "--output", "json")
    assert (again.code, again.data["left"]) == (5, [listed["id"]]), "nothing was repaired"
    sent = world.endpoint.texts.total()
    file.write_text("id,text\n1,a good day\n2,repaired\n3,a bad day\n", encoding="utf-8")
    os.utime(file, (1_700_000_100, 1_700_000_100))
    assert world.once().code == 0
    assert shell("quarantine", "list", *config, "--output", "json").data == []
    assert world.endpoint.texts.total() == sent + 1, "only the repaired row was sent"


def test_a_file_that_is_not_configured_is_read_again_by_name(world: World, tmp_path: Path) -> None:
    file = tmp_path / "adhoc.csv"
    file.write_text("id,text\n1,a good day\n2\n", encoding="utf-8")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    assert world.shell("once", file).code == 5
    refused = world.shell("quarantine", "redrive", "--all")
    assert refused.code == 2
    assert "once PATH" in refused.err
    file.write_text("id,text\n1,a good day\n2,repaired\n", encoding="utf-8")
    os.utime(file, (1_700_000_100, 1_700_000_100))
    assert world.shell("once", file).code == 0
    assert world.rows("SELECT count(*) FROM sentiment.quarantine") == [(0,)]
