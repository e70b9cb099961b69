"""What tests share: a real PostgreSQL (a template database cloned per test), a real local
Lambda, and a Lambda that fails as it is told. Nothing is skipped: a missing backend fails."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from tests.scripted_lambda import ScriptedLambda
from worker.local import lambda_process, postgres
from worker.store import database, migrate

DATA = Path(__file__).parents[2] / "shared" / "data"
"""Real data, where a checkout has it; see `needs_data`."""

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data is not at {DATA}")


LONG = (
    *("test_operators.py", "test_tweets.py", "test_unkind.py", "test_command.py", "test_ids.py"),
    *("test_queue.py", "test_adapting.py", "test_aws.py", "test_rhythm.py", "test_analysts.py"),
    *("test_deleted.py", "test_languages.py", "test_review.py", "test_dashboard.py"),
)
"""Files that take longest come first, so that processes side by side end together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.name, len(LONG)))


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A server of TEST_DATABASE_URL, or the embedded one. Tests make databases of their own."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    # Not pytest's own folder: it is closed to the account that root lends PostgreSQL.
    with tempfile.TemporaryDirectory(prefix="sentiment-worker-tests-") as home:
        Path(home).chmod(0o755)
        with postgres.running(Path(home)) as url:
            yield url


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """The name of a migrated database that tests clone."""
    name = f"template_{uuid.uuid4().hex[:8]}"
    _admin(server_url, f"CREATE DATABASE {name}")
    engine = database.make_engine(_named(server_url, name), application="tests")
    migrate.upgrade(engine)
    engine.dispose()
    yield name
    _admin(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def cloned(server_url: str, template: str) -> Iterator[str]:
    """A migrated database, for as long as it is wanted."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    _admin(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _named(server_url, name)
    _admin(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """A migrated database of this test's own."""
    with cloned(server_url, template) as url:
        yield url


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    name = f"empty_{uuid.uuid4().hex[:12]}"
    _admin(server_url, f"CREATE DATABASE {name}")
    yield _named(server_url, name)
    _admin(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = database.make_engine(database_url, application="tests")
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def local_lambda() -> Iterator[str]:
    with lambda_process.running(concurrency=2, timeout_s=30) as url:
        yield url


@pytest.fixture
def scripted_lambda() -> Iterator[ScriptedLambda]:
    with ScriptedLambda() as server:
        yield server


def _named(url: str, name: str) -> str:
    return database.normalise_url(url).set(database=name).render_as_string(hide_password=False)


def _admin(url: str, sql: str) -> None:
    plain = database.normalise_url(url).set(drivername="postgresql", database="postgres")
    with psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as admin:
        admin.execute(sql.encode())
