from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from tests.integration.test_journal import Desk, done
from tests.make import record
from tests.next_version import migrated_by_the_next_version
from worker.errors import ConfigurationError, SchemaOutdated
from worker.store import database, migrate
from worker.store.analytics.views import ANALYTICS
from worker.store.tables import METADATA


def test_up_down_and_up_again(empty_database_url: str) -> None:
    engine = database.make_engine(empty_database_url, application="tests")
    with pytest.raises(SchemaOutdated, match="migration none"):
        migrate.require_current(engine)
    migrate.upgrade(engine)
    migrate.require_current(engine)
    migrate.downgrade(engine, "base")
    with engine.connect() as connection:
        left = sa.inspect(connection).get_table_names(schema="sentiment")
        assert left == ["alembic_version"]
        assert "analytics" not in sa.inspect(connection).get_schema_names()
    migrate.upgrade(engine)
    migrate.require_current(engine)
    engine.dispose()


def test_the_state_is_what_alembic_says(engine: Engine) -> None:
    found = migrate.state(engine)
    assert found.head == ScriptDirectory.from_config(migrate._config()).get_current_head()
    with engine.connect() as connection:
        options = {"version_table_schema": "sentiment"}
        context = MigrationContext.configure(connection, opts=options)
        assert found.current == context.get_current_revision()


def test_the_tables_in_code_are_the_tables_in_the_database(engine: Engine) -> None:
    with engine.connect() as connection:
        command.check(migrate._config(connection))  # raises where autogenerate finds a difference


def test_the_data_model_names_each_table() -> None:
    told = (Path(__file__).parents[2] / "docs" / "data-model.md").read_text(encoding="utf-8")
    rows = "".join(line for line in told.splitlines() if line.startswith("| `"))
    assert [table.name for table in METADATA.sorted_tables if f"`{table.name}`" not in rows] == []


def test_the_views_in_code_are_the_views_in_the_database(engine: Engine) -> None:
    inspector = sa.inspect(engine)
    for view in ANALYTICS.tables.values():
        found = [column["name"] for column in inspector.get_columns(view.name, schema="analytics")]
        assert set(view.columns.keys()) <= set(found), view.name


@pytest.mark.parametrize(
    ("role", "allowed", "statement"),
    [
        ("sentiment_analyst", True, "SELECT * FROM analytics.current_sentiment"),
        ("sentiment_analyst", True, "SELECT * FROM analytics.pending_work"),
        ("sentiment_analyst", False, "SELECT * FROM sentiment.record"),
        ("sentiment_analyst", False, "DELETE FROM analytics.current_sentiment"),
        ("sentiment_analyst", False, "CREATE TABLE analytics.mine ()"),
        ("sentiment_worker", True, "INSERT INTO sentiment.source (name, kind) VALUES ('a', 'b')"),
        ("sentiment_worker", False, "DROP TABLE sentiment.record"),
        ("sentiment_worker", False, "DELETE FROM sentiment.score"),
        ("sentiment_worker", False, "CREATE TABLE sentiment.mine ()"),
    ],
)
def test_each_role_may_do_its_work_and_no_more(
    engine: Engine, role: str, allowed: bool, statement: str
) -> None:
    migrate.grant_roles(engine)
    with engine.connect() as connection:
        connection.execute(sa.text(f"SET ROLE {role}"))
        if allowed:
            connection.execute(sa.text(statement))
        else:
            refused = r"permission denied|must be owner|cannot delete"
            with pytest.raises(sa.exc.DBAPIError, match=refused):
                connection.execute(sa.text(statement))


def test_a_newer_database_is_refused_and_left_alone(engine: Engine, tmp_path: Path) -> None:
    migrated_by_the_next_version(engine, tmp_path, oldest="")
    for step in (migrate.upgrade, migrate.require_current):
        with pytest.raises(SchemaOutdated, match="a newer sentiment-worker has migrated it") as no:
            step(engine)
        assert "It tolerates workers from 9999 on" in str(no.value)


def test_a_newer_database_that_tolerates_this_version_is_worked_on(
    engine: Engine, tmp_path: Path
) -> None:
    """The worker of the version before goes on while versions are exchanged: also what it had
    begun before the migration."""
    desk = Desk(engine)
    begun = desk.ingest(record("1", "a"), record("2", "b"))
    migrated_by_the_next_version(
        engine, tmp_path, f'oldest_worker = "{migrate.state(engine).head}"'
    )
    migrate.require_current(engine)
    for lease in (*begun, *desk.ingest(record("3", "c"), version=1)):
        desk.settle(done(lease))
    assert [row[0] for row in desk.current()] == ["1", "2", "3"]
    assert migrate.state(engine).is_tolerant


def test_each_migration_says_which_workers_it_tolerates(empty_database_url: str) -> None:
    engine = database.make_engine(empty_database_url, application="tests")
    migrate.upgrade(engine, "0013")  # before there was such a word
    assert migrate.state(engine).oldest_worker is None
    migrate.upgrade(engine, "0014")
    assert migrate.state(engine).oldest_worker == "0013"
    migrate.downgrade(engine, "0013")
    assert migrate.state(engine).oldest_worker is None
    engine.dispose()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_text_is_refused(
    empty_database_url: str, encoding: str
) -> None:
    url = database.normalise_url(empty_database_url)
    name = f"{url.database}_{encoding.lower()}"
    with psycopg.connect(
        url.set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True
    ) as admin:
        admin.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'".encode()
        )
        engine = database.make_engine(
            url.set(database=name).render_as_string(hide_password=False), application="tests"
        )
        with pytest.raises(ConfigurationError, match=f"encoding is {encoding}"):
            migrate.upgrade(engine)
        engine.dispose()
        admin.execute(f"DROP DATABASE {name}".encode())


def test_what_a_server_is_set_to_does_not_change_what_is_read(empty_database_url: str) -> None:
    url = database.normalise_url(empty_database_url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as admin:
        for setting in (
            "datestyle = 'SQL, DMY'", "intervalstyle = 'iso_8601'", "statement_timeout = '1ms'",
        ):  # fmt: skip
            admin.execute(f"ALTER DATABASE {url.database} SET {setting}".encode())
    engine = database.make_engine(empty_database_url, application="tests")
    migrate.upgrade(engine)
    with database.transaction(engine) as connection:
        found = connection.execute(
            sa.text("SELECT timestamptz '2026-03-04Z', interval '1 day 2 hours', pg_sleep(0.05)")
        ).one()
    assert found[0] == datetime(2026, 3, 4, tzinfo=UTC)
    assert found[1] == timedelta(days=1, hours=2)
    engine.dispose()
