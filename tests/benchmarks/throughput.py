"""The figures of docs/benchmarks.md, measured here:

    python -m tests.benchmarks.throughput [--quick]

Everything runs on this machine: PostgreSQL (the embedded one, fsync on), the worker as the
installed command, and a Lambda of this benchmark's own that answers at once or after 300 ms.
Figures of one machine say little; the ratio to the bare script, run in turn with the worker,
says more.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

from worker.local import postgres
from worker.store import database

COMMAND = Path(sys.executable).with_name("sentiment-worker")
WORDS = (
    "the a service product was great terrible arrived late and broken but support fixed it "
    "quickly I would buy again never nice slow app lamp sofa driver phone call waiting love"
).split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the records")
    scale = 10 if parser.parse_args().quick else 1
    print(__doc__)
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores\n")
    with tempfile.TemporaryDirectory(prefix="sentiment-worker-bench-") as folder:
        Path(folder).chmod(0o755)
        with postgres.running(Path(folder)) as url:
            bench = Bench(Path(folder), url)
            bench.from_start_to_end(60_000 // scale)
            bench.against_the_bare_script(200_000 // scale)
            bench.behind_a_slow_lambda(200_000 // scale)
            bench.memory(100_000 // scale, 1_000_000 // scale)


class Bench:
    def __init__(self, folder: Path, server_url: str) -> None:
        self._folder = folder
        self._server_url = server_url

    def against_the_bare_script(self, records: int) -> None:
        print(f"{records:,} records, a Lambda that answers at once; five rounds in turn")
        file = self._csv(records)
        ratios, rates = [], []
        with instant_lambda(0) as url:
            for _ in range(5):
                bare = self._bare(file, url)
                worker, _ = self._worker(file, url)
                ratios.append(bare / worker)
                rates.append(records / worker)
                print(
                    f"  bare script {records / bare:,.0f} records/s, worker"
                    f" {records / worker:,.0f} records/s, ratio {bare / worker:.2f}"
                )
        print(
            f"  median: {statistics.median(rates):,.0f} records/s (wanted 20,000),"
            f" {statistics.median(ratios):.2f} of the bare script (wanted 0.8, aim 1.0)\n"
        )

    def behind_a_slow_lambda(self, records: int) -> None:
        print(f"{records:,} records, 300 ms an answer, concurrency 64, chunks of 50")
        file = self._csv(records)
        with instant_lambda(0.3) as url:
            _, samples = self._worker(file, url)
        # Warm: from an eighth of the records to seven eighths, by the database's own count.
        first = next(s for s in samples if s[1] >= records / 8)
        last = next(s for s in samples if s[1] >= records * 7 / 8)
        rate = (last[1] - first[1]) / (last[0] - first[0])
        possible = 64 * 50 / 0.3
        print(
            f"  warm: {rate:,.0f} records/s, {rate / possible:.1%} of the possible"
            f" {possible:,.0f} (wanted 95 %)\n"
        )

    def from_start_to_end(self, records: int) -> None:
        """Two files alike: the second run begins where the first one's concurrency was."""
        print(f"{records:,} records, 300 ms an answer, concurrency 64, from start to end")
        file = self._csv(records)
        ideal = math.ceil(records / 50 / 64) * 0.3  # whole round trips: the last is not full
        with instant_lambda(0.3) as url, self._fresh_database() as database_url:
            for which in ("first", "second", "third"):
                seconds = self._once(self._renumbered(file, which), url, database_url)
                print(f"  {which} run: {seconds:.2f} s, {ideal / seconds:.0%} of the ideal"
                      f" {ideal:.2f} s")  # fmt: skip
        print("  (wanted 90 %, from the second run on)\n")

    def memory(self, few: int, many: int) -> None:
        print(f"{many:,} records against {few:,}")
        results = {}
        with instant_lambda(0) as url:
            for records in (few, many):
                file = self._csv(records)
                seconds, _ = self._worker(file, url)
                results[records] = (seconds / records, self._peak_mb)
                print(
                    f"  {records:,}: {seconds / records * 1e6:.1f} us a record, peak memory"
                    f" {self._peak_mb['worker']:.0f} MB in the worker,"
                    f" {self._peak_mb['sender']:.0f} MB in its sender"
                )
        growth = results[many][0] / results[few][0] - 1
        peak = sum(results[many][1].values())
        print(f"  time a record {growth:+.0%} (wanted within 10 %), {peak:.0f} MB (wanted 200)\n")

    def _worker(self, file: Path, endpoint: str) -> tuple[float, list[tuple[float, int]]]:
        """Seconds of the run (as the ledger has them) and (time, records scored) samples."""
        with self._fresh_database() as url:
            variables = self._variables(url, endpoint)
            _run([COMMAND, "db", "upgrade"], variables)
            samples: list[tuple[float, int]] = []
            command = [COMMAND, "once", file, "--output", "json"]
            with subprocess.Popen(
                list(map(str, command)), env=variables, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True,
            ) as process:  # fmt: skip
                watch = threading.Thread(target=self._watch, args=(process.pid, url, samples))
                watch.start()
                output, _ = process.communicate()
                watch.join()
            (report,) = json.loads(output)
            assert report["state"] == "done", report
            return report["seconds"], samples

    def _variables(self, url: str, endpoint: str) -> dict[str, str]:
        return os.environ | {
            "DATABASE_URL": url,
            "AWS_ENDPOINT_URL_LAMBDA": endpoint,
            "AWS_REGION": "local",
            "SENTIMENT_HOME": str(self._folder),
        }

    def _once(self, file: Path, endpoint: str, url: str) -> float:
        """Seconds of a run of the one source, as the ledger has them."""
        variables = self._variables(url, endpoint)
        _run([COMMAND, "db", "upgrade"], variables)
        command = [COMMAND, "once", file, "--name", "bench", "--output", "json"]
        (report,) = json.loads(_run(command, variables))
        assert report["state"] == "done", report
        return float(report["seconds"])

    def _renumbered(self, file: Path, mark: str) -> Path:
        """The same records under other ids, with other texts."""
        path = self._folder / f"{mark}-{file.name}"
        with open(file, encoding="utf-8") as rows, open(path, "w", encoding="utf-8") as out:
            out.write(next(rows))
            out.writelines(f"{mark}{row.rstrip()} {mark}\n" for row in rows)
        return path

    def _watch(self, pid: int, url: str, samples: list[tuple[float, int]]) -> None:
        """Peak memory of the worker and its sender, and how many records are scored."""
        self._peak_mb = {"worker": 0.0, "sender": 0.0}
        plain = url.replace("+psycopg", "")
        with psycopg.connect(plain, autocommit=True) as connection:
            while psutil.pid_exists(pid):
                try:
                    process = psutil.Process(pid)
                    self._note("worker", process)
                    for child in process.children():
                        self._note("sender", child)
                    over = process.status() == psutil.STATUS_ZOMBIE
                except psutil.Error:
                    return
                row = connection.execute("SELECT coalesce(max(scored), 0) FROM sentiment.run")
                samples.append((time.perf_counter(), int((row.fetchone() or [0])[0])))
                if over:
                    return
                time.sleep(0.1)

    def _note(self, name: str, process: psutil.Process) -> None:
        self._peak_mb[name] = max(self._peak_mb[name], process.memory_info().rss / 2**20)

    def _bare(self, file: Path, endpoint: str) -> float:
        with self._fresh_database() as url:
            command = [sys.executable, "-m", "tests.benchmarks.bare_script", file,
                       url.replace("+psycopg", ""), endpoint]  # fmt: skip
            return float(json.loads(_run(command, dict(os.environ)))["seconds"])

    @contextmanager
    def _fresh_database(self) -> Iterator[str]:
        named = database.normalise_url(self._server_url)
        admin_url = named.set(drivername="postgresql", database="postgres")
        with psycopg.connect(
            admin_url.render_as_string(hide_password=False), autocommit=True
        ) as admin:
            admin.execute("CREATE DATABASE bench")
            yield named.set(database="bench").render_as_string(hide_password=False)
            admin.execute("DROP DATABASE bench WITH (FORCE)")
            admin.execute("CHECKPOINT")

    def _csv(self, records: int) -> Path:
        """Distinct texts of 5 to 30 words; the same file for the same count."""
        path = self._folder / f"records-{records}.csv"
        if not path.exists():
            draw = random.Random(0)
            with open(path, "w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("id", "created_at", "text"))
                for n in range(records):
                    text = " ".join(draw.choices(WORDS, k=draw.randint(5, 30)))
                    writer.writerow((n, f"2026-01-{1 + n % 28:02d}T08:00:00+00:00", f"{text} {n}"))
        return path


@contextmanager
def instant_lambda(delay_s: float) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.benchmarks.instant_lambda", str(delay_s)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()
        process.wait(10)


def _run(command: list[Any], variables: dict[str, str]) -> str:
    return subprocess.run(
        list(map(str, command)), env=variables, check=True, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ).stdout  # fmt: skip


if __name__ == "__main__":
    main()
