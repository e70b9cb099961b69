"""The real function behind a bad wire: its environments are killed, its answers spoiled on the way,
and each score is still what the model says of that text alone."""

from __future__ import annotations

import csv
import json
import time
from functools import partial
from pathlib import Path
from random import Random
from urllib.request import urlopen

import psutil
import psycopg
import pytest
from sentiment_function.model import EMBEDDED, Model

from tests.faults import mix
from tests.faults.conftest import Note, Scale
from tests.faults.endpoint import FaultyLambda
from tests.faults.killing import killing
from tests.faults.server import Server
from tests.faults.world import Workers, World
from worker import clean
from worker.local import lambda_process

pytestmark = pytest.mark.timeout(1800)

SAMPLE = Path(lambda_process.__file__).parents[1] / "sample"


def texts(count: int) -> list[str]:
    """The sample's reviews, each different."""
    with (SAMPLE / "reviews.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        reviews = [row["review"] for row in rows]
    return [f"{reviews[n % len(reviews)]} ({n})" for n in range(count)]


def _cold_start_s(url: str) -> float:
    """How long an environment takes to start and answer on this machine. One that is killed sooner
    has been asked nothing: then nobody's answer is lost, and none ever comes."""
    body = json.dumps({"texts": ["good"]}).encode()
    began = time.monotonic()
    with urlopen(f"{url}/2015-03-31/functions/sentiment/invocations", body, timeout=60) as answer:
        answer.read()
    return time.monotonic() - began


def _one_of(service: psutil.Process, rng: Random) -> list[psutil.Process]:
    """An environment of the local Lambda, if there is one."""
    environments = service.children()
    return [rng.choice(environments)] if environments else []


def test_the_real_function_behind_a_bad_wire(
    server: Server, tmp_path: Path, scale: Scale, rng: Random, note: Note
) -> None:
    wanted = texts(scale.of(400, 10_000))
    before = set(psutil.Process().children())
    with lambda_process.running(concurrency=2, timeout_s=5) as upstream:
        (service,) = set(psutil.Process().children()) - before
        with (
            FaultyLambda(rng, faults=mix.MIX, upstream=upstream) as endpoint,
            World(server, tmp_path, endpoint, rng) as world,
        ):
            world.configure("review")
            cold_s = _cold_start_s(upstream)
            world.shell.variables["LAMBDA_TIMEOUT"] = str(round(3 + 2 * cold_s))
            one_of_them = partial(_one_of, service, rng)
            with world.connect() as connection, killing(one_of_them, 3 * cold_s) as dead:
                _insert(connection, wanted)
                with Workers(world, 2):
                    world.wait_until(lambda: world.count("sentiment.score") >= len(wanted), 600)
            world.settle()
            found = {
                text: (label, polarity)
                for text, label, polarity in world.rows(
                    "SELECT text, label, polarity FROM analytics.current_sentiment"
                    " WHERE NOT provisional"
                )
            }
    directly = Model(EMBEDDED).sentiments([clean.model_text(text) for text in wanted])
    asked = dict(zip(wanted, directly, strict=True))
    assert found.keys() == asked.keys()
    moved = max(abs(found[text][1] - right.polarity) for text, right in asked.items())
    changed = sum(found[text][0] != right.label for text, right in asked.items())
    note(
        "1",
        f"{len(wanted):,} reviews to the real function: {len(dead)} of its environments killed,"
        " the fault mix on the wire",
        f"{len(found):,} scored by the model; asked directly the model gives {changed} other"
        f" labels, {moved:.4f} another polarity at most; sent {world.sent_per_text():.2f} times",
        "all, no other label, at most 0.005",
    )
    assert moved <= 0.005
    assert changed == 0
    assert dead


def _insert(connection: psycopg.Connection, rows: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(b"INSERT INTO review (body) VALUES (%s)", [(row,) for row in rows])
