"""A kind of source that comes from another package, and what is said of a wrong one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.command import Shell
from tests.scripted_lambda import ScriptedLambda, scored

EXAMPLE = Path(__file__).parents[1] / "example_kind"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed beside ours."""
    target = tmp_path_factory.mktemp("site")
    build = tmp_path_factory.mktemp("build")
    source = build / "example"
    subprocess.run(["cp", "-r", str(EXAMPLE), str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(target)]
    subprocess.run([*pip, *offline, str(source)], check=True)
    return target


@pytest.fixture
def shell(
    tmp_path: Path, database_url: str, scripted_lambda: ScriptedLambda, installed: Path
) -> Shell:
    scripted_lambda.script = lambda request, n: scored(request)
    threads = tmp_path / "threads"
    threads.mkdir()
    posts = [{"number": n, "said": f"a good day {n}"} for n in range(1, 4)]
    (threads / "one.json").write_text(json.dumps(posts))
    (tmp_path / "sentiment-worker.toml").write_text(
        '[[source]]\nname = "forum"\nkind = "forum"\nthreads = "threads"\n'
    )
    return Shell(
        tmp_path,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
        AWS_REGION="local",
        PYTHONPATH=str(installed),
    )


def test_another_packages_kind_is_listed_and_read_on(shell: Shell) -> None:
    kinds = {row["kind"]: row for row in shell("sources", "kinds", "-o", "json").data}
    assert kinds["forum"]["package"] == "sentiment-forum"
    assert "threads" in kinds["forum"]["keys"]
    assert kinds["file"]["package"] == "sentiment-worker"
    assert shell("once").code == 0
    thread = shell.folder / "threads" / "one.json"
    posts = json.loads(thread.read_text())
    posts += [{"number": 4, "said": "a bad day"}, {"number": 5}]
    thread.write_text(json.dumps(posts))
    again = shell("once")
    (report,) = shell("once", "-o", "json").data
    assert again.code == 0, again.err
    assert report["counters"]["read"] == 0, "nothing new sends nothing"
    rows = shell("scores", "--source", "forum", "-o", "json").data
    assert sorted(row["external_id"] for row in rows) == [f"one-{n}" for n in range(1, 6)]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('name = "a"\nkind = "forum"\nthread = "x"', "did you mean threads?"),
        ('name = "a"\nkind = "forums"\nthreads = "x"', "Did you mean 'forum'?"),
        ('name = "a"\nkind = "file"\npth = "x"', "did you mean path?"),
        ('name = "a"\npath = "x"', "kind is missing"),
    ],
)
def test_a_mistake_in_a_source_is_named(shell: Shell, source: str, said: str) -> None:
    (shell.folder / "sentiment-worker.toml").write_text(f"[[source]]\n{source}\n")
    done = shell("config", "validate")
    assert (done.code, said in done.err) == (2, True), done.err


def test_a_package_that_cannot_be_loaded_is_named(shell: Shell, tmp_path: Path) -> None:
    broken = tmp_path / "site"
    info = broken / "broken_kind-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-kind\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[sentiment_worker.sources]\nbroken = no_such_module:KIND\n"
    )
    (shell.folder / "sentiment-worker.toml").write_text('[[source]]\nname = "a"\nkind = "broken"\n')
    done = shell("once", PYTHONPATH=str(broken))
    assert done.code == 2
    assert "The kind 'broken' of no_such_module:KIND cannot be loaded" in done.err
    listed = shell("sources", "kinds", PYTHONPATH=str(broken))
    assert listed.code == 0, "the others are there all the same"
    assert "cannot be loaded" in listed.out
