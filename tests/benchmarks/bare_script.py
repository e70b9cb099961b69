"""What the worker is measured against: the script that somebody writes in an afternoon and tunes
for a day. COPY in, boto3 from 64 threads, COPY out. No journal, no cursor, no recovery.

    python -m tests.benchmarks.bare_script CSV DATABASE_URL ENDPOINT_URL
"""

from __future__ import annotations

import csv
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
import psycopg
from botocore.config import Config

CHUNK = 50
THREADS = 64


def main(path: str, database_url: str, endpoint_url: str) -> None:
    started = time.perf_counter()
    client = boto3.client(
        "lambda",
        region_name="local",
        endpoint_url=endpoint_url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(max_pool_connections=THREADS, retries={"total_max_attempts": 1}),
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS bare_record (id text PRIMARY KEY, created_at timestamptz,"
            " text text); CREATE TABLE IF NOT EXISTS bare_score (id text PRIMARY KEY,"
            " label text, score float8); TRUNCATE bare_record, bare_score"
        )
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))[1:]
        with connection.cursor().copy("COPY bare_record FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        chunks = [rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK)]

        def score(chunk: list[list[str]]) -> list[tuple[str, str, float]]:
            payload = json.dumps({"texts": [row[2] for row in chunk]})
            answer = client.invoke(FunctionName="sentiment", Payload=payload)
            results = json.loads(answer["Payload"].read())["body"]["results"]
            return [
                (row[0], result["sentiment"], result["score"])
                for row, result in zip(chunk, results, strict=True)
            ]

        with (
            ThreadPoolExecutor(THREADS) as pool,
            connection.cursor().copy("COPY bare_score FROM STDIN") as copy,
        ):
            for scored in pool.map(score, chunks):
                for result in scored:
                    copy.write_row(result)
    print(json.dumps({"records": len(rows), "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:])
