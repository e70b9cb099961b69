"""The embedded PostgreSQL, as other systems than this one start it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from worker.local import postgres
from worker.store import database


def test_without_the_systems_own_utf8_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a Mac: UTF-8 texts are ordered, lowered and matched as with C.UTF-8 on Linux."""
    monkeypatch.setattr(postgres, "LOCALE", "C")
    monkeypatch.setattr(postgres, "INITDB_LOCALE", postgres.BUILTIN_LOCALE)
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.name.startswith("pytest"):
            folder.chmod(0o755)
    with postgres.running(tmp_path) as url:
        plain = database.normalise_url(url).set(drivername="postgresql")
        with psycopg.connect(plain.render_as_string(hide_password=False)) as connection:
            row = connection.execute(
                "SELECT lower('ÄÖÜ É'), 'é' ~ '\\w', getdatabaseencoding(),"
                " (SELECT string_agg(x, '' ORDER BY x) FROM unnest(ARRAY['b', 'B', 'ä', 'a']) x)"
            ).fetchone()
    assert row == ("äöü é", True, "UTF8", "Babä")
