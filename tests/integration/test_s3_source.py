"""s3:// against moto's server: real HTTP, real boto3."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from worker.errors import SourceUnavailable
from worker.sources.files.source import FileSource
from worker.sources.rows.layout import Layout


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    yield client
    client.close()
    server.stop()


def read(place: str, positions: dict[str, Any]) -> list[str]:
    found = []
    for page in FileSource("s", [place], Layout()).pages(positions):
        positions[page.partition] = page.position
        found += [record.external_id for record in page.records]
    return found


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")
def test_objects_are_found_by_glob_and_read_when_they_changed(s3: Any) -> None:
    s3.put_object(Bucket="bucket", Key="exports/a.csv", Body=b"id,text\n1,a\n")
    s3.put_object(Bucket="bucket", Key="exports/b.csv.gz", Body=gzip.compress(b"id,text\n2,b\n"))
    s3.put_object(Bucket="bucket", Key="exports/deep/c.csv", Body=b"id,text\n3,c\n")
    s3.put_object(Bucket="bucket", Key="exports/readme.md", Body=b"x")
    positions: dict[str, Any] = {}
    assert read("s3://bucket/exports/*.csv*", positions) == ["1", "2"]
    assert read("s3://bucket/exports/*.csv*", positions) == []
    s3.put_object(Bucket="bucket", Key="exports/a.csv", Body=b"id,text\n1,a\n4,d\n")
    assert read("s3://bucket/exports/*.csv*", positions) == ["4"]
    assert read("s3://bucket/exports/", {}) == ["1", "4", "2", "3"]
    assert read("s3://bucket/exports/deep/c.csv", {}) == ["3"]


def test_a_bucket_that_is_not_there(s3: Any) -> None:
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        read("s3://nowhere/x.csv", {})
