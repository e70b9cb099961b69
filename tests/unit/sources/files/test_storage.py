"""S3's globs match as local ones do."""

from __future__ import annotations

import re

import pytest

from worker.sources.files.storage import _glob_to_regex


@pytest.mark.parametrize(
    ("pattern", "key", "found"),
    [
        ("g/*.csv", "g/a.csv", True),
        ("g/*.csv", "g/h/a.csv", False),
        ("g/**/*.csv", "g/a.csv", True),
        ("g/**/*.csv", "g/h/i/a.csv", True),
        ("g/d[0-9].csv", "g/d5.csv", True),
        ("g/d[0-9].csv", "g/dx.csv", False),
        ("g/d[!0-9].csv", "g/dx.csv", True),
        ("g/d?.csv", "g/d/.csv", False),
        ("g/", "g/h/a.csv", True),
        ("g", "g/a.csv", True),
        ("g", "gh/a.csv", False),
        ("", "a.csv", True),
    ],
)
def test_a_pattern_finds_what_it_says(pattern: str, key: str, found: bool) -> None:
    assert bool(re.fullmatch(_glob_to_regex(pattern), key)) is found
