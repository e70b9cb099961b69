"""The embedded PostgreSQL, as other systems than this one start it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

from worker.errors import ConfigurationError
from worker.local import host, postgres
from worker.store import database


def test_without_the_systems_own_utf8_locale(tmp_path: Path) -> None:
    """As on a Mac: UTF-8 texts are ordered, lowered and matched as with C.UTF-8 on Linux."""
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.name.startswith("pytest"):
            folder.chmod(0o755)
    with postgres.running(tmp_path, has_utf8_locale=False) as url:
        plain = database.normalise_url(url).set(drivername="postgresql")
        with psycopg.connect(plain.render_as_string(hide_password=False)) as connection:
            row = connection.execute(
                "SELECT lower('ÄÖÜ É'), 'é' ~ '\\w', getdatabaseencoding(),"
                " (SELECT string_agg(x, '' ORDER BY x) FROM unnest(ARRAY['b', 'B', 'ä', 'a']) x)"
            ).fetchone()
    assert row == ("äöü é", True, "UTF8", "Babä")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """That the account without rights can reach."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(tempfile.gettempdir()) and folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path / "home"


def answers(url: str) -> bool:
    plain = database.normalise_url(url).set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False)) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def test_a_stale_pid_file_makes_us_signal_no_stranger(home: Path) -> None:
    with postgres.running(home) as url:
        assert answers(url)
    data = home / "postgres" / "data"
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            (data / postgres.PID_FILE).write_text(f"{stranger.pid}\n{data}\n1\n5432\n\n\n")
            with postgres.running(home) as url:
                assert answers(url)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_copy_of_a_running_home_leaves_the_original_alone(home: Path) -> None:
    with postgres.running(home) as url:
        copy = home.with_name("copy")
        subprocess.run(["cp", "-a", str(home), str(copy)], check=True)
        with postgres.running(copy) as other:
            assert other != url
            assert answers(other)
            assert answers(url)
        assert answers(url), "who stops the copy stops the copy"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may ask as somebody else")
def test_another_user_of_the_machine_is_not_let_in(home: Path) -> None:
    """Even where somebody has opened the folder."""
    with postgres.running(home) as url:
        plain = database.normalise_url(url).set(drivername="postgresql")
        Path(str(plain.query["host"])).chmod(0o755)
        program = str(host.programs_for(host.account_to_use()) / "psql")
        stranger = subprocess.run(
            [program, plain.render_as_string(hide_password=False), "-c", "SELECT 1"],
            user="nobody", group="nogroup", extra_groups=[], cwd="/",
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "Peer authentication failed" in stranger.stderr
        assert answers(url)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has groups to give up")
def test_roots_server_keeps_none_of_roots_groups(home: Path) -> None:
    with postgres.running(home):
        pid = (home / "postgres" / "data" / postgres.PID_FILE).read_text().split()[0]
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        found = dict(line.split(":", 1) for line in status)
        assert "0" not in found["Uid"].split() + found["Gid"].split()
        assert found["Groups"].split() == []


def test_a_home_is_one_server_by_whatever_link_it_is_named(home: Path) -> None:
    """A comma moves its socket out of the home, under a name that is made of the path."""
    real, link = home.with_name("a,home"), home.with_name("a,link")
    real.mkdir()
    link.symlink_to(real)
    with postgres.running(real) as url, postgres.running(link) as other:
        assert url == other
        assert answers(other)


def test_a_home_of_any_characters(home: Path) -> None:
    odd = home.with_name("a $HOME `id` \"b\" 'c', d")
    with postgres.running(odd) as url:
        assert answers(url)


@pytest.mark.parametrize("name", ["new\nline", "bad\udcff"])
def test_a_home_that_postgresql_cannot_have_is_refused(home: Path, name: str) -> None:
    refused = pytest.raises(ConfigurationError, match="a line break, or characters that are not")
    with refused, postgres.running(home.with_name(name)):
        pass


@pytest.mark.parametrize("how", ["another's", "a link"])
def test_a_socket_folder_that_somebody_else_made_is_refused(home: Path, how: str) -> None:
    """Whoever owns it could be the server's superuser. It lies in /tmp where the home's path is
    longer than a socket's may be."""
    temporary = home.with_name("tmp")
    temporary.mkdir()
    deep = home / ("d" * 90)
    folder = host.socket_folder(deep / "postgres", temporary)
    assert folder.parent == temporary
    if how == "a link":
        (temporary / "elsewhere").mkdir()
        folder.symlink_to(temporary / "elsewhere")
    else:
        folder.mkdir()
    user = os.geteuid() if how == "a link" else 54_321
    with pytest.raises(ConfigurationError, match="is owned by another user, or is a symbolic"):
        host.own(folder, account=None, user=user)
