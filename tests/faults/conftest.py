"""Options, seeds and figures of the fault tests.

make faults         small counts, for CI
make faults-full    the figures of docs/reliability.md
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random, SystemRandom

import pytest

from tests.faults.endpoint import FaultyLambda
from tests.faults.server import Server
from tests.faults.soak import Soak
from tests.faults.world import World, make_template

REPORT = Path(__file__).parents[2] / "docs" / "reliability.md"


@dataclass(frozen=True)
class Figure:
    """A line of docs/reliability.md."""

    number: str
    did: str
    figure: str
    wanted: str
    seconds: float


FIGURES = pytest.StashKey[list[Figure]]()
SEED = pytest.StashKey[int]()


@dataclass(frozen=True)
class Scale:
    full: bool

    def of(self, ci: int, full: int) -> int:
        return full if self.full else ci


def pytest_addoption(parser: pytest.Parser) -> None:
    """tests/servers has the same options; where both are collected, they come twice."""
    if any("--full" in option.names() for option in parser._anonymous.options):
        return
    parser.addoption("--full", action="store_true", help="the figures of docs/reliability.md")
    parser.addoption("--seed", type=int, help="replay a run: the seed that it printed")


def pytest_configure(config: pytest.Config) -> None:
    if SEED in config.stash:
        return
    given = config.getoption("--seed")
    config.stash[SEED] = SystemRandom().randrange(1 << 31) if given is None else given
    config.stash[FIGURES] = []


def pytest_report_header(config: pytest.Config) -> str:
    return f"faults: --seed {config.stash[SEED]}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    config = terminalreporter.config
    noted: list[Figure] = config.stash[FIGURES]
    figures = sorted(noted, key=lambda f: int(f.number))
    terminalreporter.write_sep("-", f"figures, --seed {config.stash[SEED]}")
    for f in figures:
        terminalreporter.write_line(
            f"{f.number:>3}  {f.did}: {f.figure} (wanted: {f.wanted}; {f.seconds:.0f} s)"
        )
    stats, whole = terminalreporter.stats, not config.getoption("keyword")
    if config.getoption("--full") and whole and not (stats.get("failed") or stats.get("error")):
        _write(figures, config.stash[SEED])


def _write(figures: list[Figure], seed: int) -> None:
    """Renew the table between the marks; the text around it is written by people."""
    rows = "\n".join(
        f"| {f.number} | {f.did} | {f.figure} | {f.wanted} | {f.seconds:,.0f} |" for f in figures
    )
    table = (
        f"<!-- figures -->\nMeasured on {datetime.now(UTC):%Y-%m-%d} by `make faults-full"
        f" SEED={seed}`: {platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python"
        f" {platform.python_version()}, PostgreSQL 18 on the same machine, fsync on.\n\n"
        f"| # | what was done | measured | wanted | seconds |\n|---|---|---|---|---|\n{rows}\n"
        "<!-- /figures -->"
    )
    text = REPORT.read_text(encoding="utf-8")
    head, _, rest = text.partition("<!-- figures -->")
    _, _, tail = rest.partition("<!-- /figures -->")
    REPORT.write_text(head + table + tail, encoding="utf-8")


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> Scale:
    return Scale(bool(request.config.getoption("--full")))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> Random:
    """The test's own randomness: the same for the same seed, whatever ran before."""
    return Random(f"{request.config.stash[SEED]} {request.node.name}")


Note = Callable[[str, str, str, str], None]


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """note(number, what was done, what was measured, what was wanted)"""
    started = time.monotonic()

    def add(number: str, did: str, figure: str, wanted: str) -> None:
        seconds = time.monotonic() - started
        request.config.stash[FIGURES].append(Figure(number, did, figure, wanted, seconds))

    return add


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="sentiment-worker-faults-") as home:
        Path(home).chmod(0o755)
        with Server(Path(home)) as server:
            make_template(server)
            yield server


@pytest.fixture(scope="session")
def soak() -> Iterator[Soak]:
    with Soak() as soak:
        yield soak


@pytest.fixture(scope="session", autouse=True)
def _soaked_beside_the_rest(request: pytest.FixtureRequest, scale: Scale) -> None:
    if scale.full:
        request.getfixturevalue("soak")


@pytest.fixture
def endpoint(rng: Random) -> Iterator[FaultyLambda]:
    with FaultyLambda(rng) as endpoint:
        yield endpoint


@pytest.fixture
def world(server: Server, tmp_path: Path, endpoint: FaultyLambda, rng: Random) -> Iterator[World]:
    with World(server, tmp_path, endpoint, rng) as world:
        yield world
