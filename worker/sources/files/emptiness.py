"""Places without a file: said once, and an error where there should be one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from worker.errors import ConfigurationError, SourceUnavailable
from worker.log import get_logger
from worker.records import Remark

log = get_logger(__name__)

EMPTY_RUNS = 3
"""In a row: one may come between two deliveries."""

NOTHING_THERE = (
    "Check the path or prefix. Files are found by their names: .csv, .tsv, .jsonl, .parquet, plain"
    " or packed (.gz, .zst)."
)


class Emptiness:
    """What a source says when there is no file to read."""

    def __init__(
        self,
        source: str,
        locations: Sequence[str],
        *,
        may_be_empty: bool,
        before: Callable[[], int],
    ) -> None:
        """Unless it `may_be_empty`, a place without a file fails the third run in a row; `before`
        says how many there were."""
        self._source = source
        self._locations = locations
        self._may_be_empty = may_be_empty
        self._before = before
        self._nothing = f"no file to be read at {', '.join(locations)}"

    def refusal(self) -> ConfigurationError:
        """For a command that was told to read these files."""
        return ConfigurationError(f"There is {self._nothing}.", hint=NOTHING_THERE)

    def remark(self) -> Remark:
        """Of a run that found none."""
        if not self._before():
            log.warning("source.empty", source=self._source, at=list(self._locations))
        return Remark(self._nothing, found_nothing=True)

    def raise_if_too_often(self) -> None:
        """Raises SourceUnavailable from the third run in a row on that found none."""
        if not self._may_be_empty and self._before() + 1 >= EMPTY_RUNS:
            told = f"There is {self._nothing}, for {EMPTY_RUNS} runs in a row."
            raise SourceUnavailable(told, hint=NOTHING_THERE)
