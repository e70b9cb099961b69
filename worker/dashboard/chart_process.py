"""Charts drawn in another process: drawing holds the interpreter's lock for a tenth of a second."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from worker import child
from worker.child import Child, ChildDied
from worker.insight.charts import DARK, LIGHT, PHONE, Style
from worker.insight.report import Picture
from worker.store.analytics.tallies import Scope

KEPT = 200
"""Pictures that are kept, so that the same numbers are drawn once."""

Wanted = tuple[str, Any, Scope, Style]
"""A chart's name, what it found, and how it is drawn."""


class ChartRenderer:
    """One process, started on first use, and again if it was killed."""

    def __init__(self) -> None:
        self._child = Child(__name__)
        self._kept: OrderedDict[bytes, Picture] = OrderedDict()

    async def draw(
        self, name: str, found: Any, scope: Scope, *, dark: bool, narrow: bool
    ) -> Picture:
        """`found` is what the chart asked for. Raises what drawing raises, and ChildDied."""
        style = DARK if dark else LIGHT
        if narrow:
            style = style._replace(width=PHONE)
        wanted = (name, found, scope, style)
        key = hashlib.blake2b(repr(wanted).encode()).digest()
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        picture = self._kept[key] = await self._drawn(wanted)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return picture

    async def _drawn(self, wanted: Wanted) -> Picture:
        try:
            answer = await self._child.call(wanted)
        except ChildDied:  # killed, perhaps by an earlier chart: a new one is started
            answer = await self._child.call(wanted)
        if isinstance(answer, Exception):
            raise answer
        picture: Picture = answer
        return picture

    async def close(self) -> None:
        await self._child.close()


def _renderer(_: None) -> tuple[Callable[[Wanted], Picture | Exception], int]:
    from worker.insight.charts import named  # now, so that the first picture waits less

    def draw(wanted: Wanted) -> Picture | Exception:
        try:
            return named.draw(*wanted)
        except Exception as error:  # noqa: BLE001  the page's to answer for
            return error

    return draw, 1


if __name__ == "__main__":
    child.serve(_renderer)
