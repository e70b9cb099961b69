"""A report as HTML, PDF and PNG. Text of records goes in as data, never as markup."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.resources import files

from worker.insight.report import Report

PPI = 144
"""Of the picture: twice a screen's."""


def html(report: Report) -> bytes:
    """One file that needs no network."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("worker.insight"), autoescape=True, undefined=StrictUndefined
    )
    images = {p.name: _as_url(p.svg) for p in report.pictures}
    return templates.get_template("report.html.j2").render(report=report, images=images).encode()


def pdf(report: Report) -> bytes:
    """A4."""
    return _typeset(report, "pdf")


def png(report: Report) -> bytes:
    """One picture, as tall as it must be."""
    return _typeset(report, "png")


def _typeset(report: Report, kind: str) -> bytes:
    """By Typst, from a template of ours; what is in the report reaches it as data alone."""
    import typst

    template = files("worker.insight").joinpath("templates", "report.typ").read_bytes()
    data = json.dumps(asdict(report) | {"tall": kind == "png"})
    # Its types know no format that is chosen at run time.
    compiled: bytes = typst.compile(  # type: ignore[call-overload]
        template, format=kind, ppi=PPI if kind == "png" else None, sys_inputs={"data": data}
    )
    return compiled


RENDERERS: Mapping[str, Callable[[Report], bytes]] = {"html": html, "pdf": pdf, "png": png}


def _as_url(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
