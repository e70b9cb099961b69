"""The worker's scorer over AWS's runtime interface emulator: it keeps what every scorer keeps."""

from __future__ import annotations

import pytest

from tests.contract.test_scorers import Kind, ScorerSuite, over
from tests.infrastructure.conftest import EMULATED


@pytest.fixture
def kind(emulator: str) -> Kind:
    return over(emulator, EMULATED, at_once=1)


class TestScorer(ScorerSuite):
    """Over the emulator."""
