"""A queue: from an upload to the committed score, and how many objects a second.

    python -m tests.benchmarks.queue [OBJECTS]     (about two minutes for 2,000)

moto plays S3 and SQS in this process, and the function answers at once; PostgreSQL is the embedded
one. `serve` waits at the queue. At rest: each upload comes after a pause longer than a run listens.
Under way: each comes while the run before still listens. Then all objects at once.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from tests.acceptance.command import Shell
from tests.cloud import Cloud
from tests.scripted_lambda import ScriptedLambda
from worker.local import postgres
from worker.sources.queue.source import IDLE_S
from worker.store import database, migrate


def main() -> None:
    print(__doc__)
    objects = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    with tempfile.TemporaryDirectory(prefix="queue-bench-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "pg"
        with postgres.running(home) as url, Cloud() as cloud, ScriptedLambda() as scripted:
            _measure(Path(folder), url, cloud, scripted.url, objects)


def _measure(folder: Path, url: str, cloud: Cloud, function: str, objects: int) -> None:
    engine = database.make_engine(url, application="bench")
    migrate.upgrade(engine)
    engine.dispose()
    (folder / "sentiment-worker.toml").write_text(
        f'[[source]]\nname = "drop"\nkind = "sqs"\nqueue = "{cloud.queue}"\n'
    )
    shell = Shell(
        folder,
        DATABASE_URL=url,
        AWS_ENDPOINT_URL_LAMBDA=function,
        LAMBDA_FUNCTION_NAME="scorer",
        **cloud.variables,
    )
    plain = database.normalise_url(url).set(drivername="postgresql")
    with (
        psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as asking,
        shell.started("serve") as process,
    ):
        _until_scored(asking, 0)
        time.sleep(3 + IDLE_S)
        scored = 0
        for name, pause_s in (("at rest", IDLE_S + 2.0), ("under way", 0.2)):
            took = []
            for _ in range(15):
                time.sleep(pause_s)
                began = time.monotonic()
                cloud.put(f"{scored}.csv", (scored, f"a good day {scored}"))
                scored += 1
                _until_scored(asking, scored)
                took.append(time.monotonic() - began)
            print(f"{name:10} median {statistics.median(took):.2f} s, worst {max(took):.2f} s")
        began = time.monotonic()
        for n in range(scored, scored + objects):
            cloud.put(f"{n}.csv", (n, f"a good day {n}"))
        uploaded = time.monotonic() - began
        _until_scored(asking, scored + objects)
        took_s = time.monotonic() - began
        print(f"{objects:,} objects uploaded in {uploaded:.0f} s, all scored after {took_s:.0f} s")
        process.terminate()
        process.wait(30)


def _until_scored(asking: psycopg.Connection[tuple[int]], count: int) -> None:
    while True:
        found = asking.execute("SELECT count(*) FROM sentiment.score").fetchone()
        if found and found[0] >= count:
            return
        time.sleep(0.01)


if __name__ == "__main__":
    main()
