"""The application: pages, pictures and the API over one engine, behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.exception_handlers import (
    http_exception_handler,
    request_validation_exception_handler,
)
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from sqlalchemy import Engine
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from worker import __version__
from worker.dashboard import api, pages, reviewing
from worker.dashboard.chart_process import ChartRenderer
from worker.errors import Forbidden, Misasked, Unknown, WorkerError
from worker.log import get_logger
from worker.web.guard import AccessRules, Guard

log = get_logger(__name__)


def application(engine: Engine, rules: AccessRules, judging: Engine | None = None) -> ASGIApp:
    """`engine` is read-only and has the analyst's rights, `judging` a reviewer's; without it nobody
    may judge records here."""
    app = FastAPI(
        title="sentiment-worker",
        version=__version__,
        summary="Stored sentiment, to be read.",
        openapi_url="/api/openapi.json",
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.engine = engine
    app.state.judging = judging
    app.add_exception_handler(WorkerError, _answered)
    app.add_exception_handler(RequestValidationError, _misasked)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _broken)
    app.include_router(api.router)
    app.include_router(pages.router)
    app.include_router(reviewing.router)
    static = str(files("worker.dashboard").joinpath("static"))
    app.mount("/static", StaticFiles(directory=static), name="static")
    return Guard(app, rules)  # outermost, so that what breaks is dressed too


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.renderer = ChartRenderer()
    try:
        yield
    finally:
        await app.state.renderer.close()


_STATUS: Mapping[type[WorkerError], int] = {Unknown: 404, Misasked: 400, Forbidden: 403}


async def _answered(request: Request, error: Exception) -> Response:
    """An error of ours as its status. What an asker got wrong is told; what a database says of
    itself may name hosts and logins, and goes to the log alone."""
    assert isinstance(error, WorkerError)
    status = _STATUS.get(type(error), 503)
    words, hint = str(error), error.hint
    if status == 503:
        log.warning("dashboard.failed", path=request.url.path, error=str(error), hint=error.hint)
        words, hint = "The database does not answer, or not in time.", "Its log says more."
    if _is_api(request):
        return JSONResponse({"detail": f"{words} {hint}".strip()}, status)
    return pages.failure(request, status, words, hint)


async def _misasked(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if _is_api(request):
        return await request_validation_exception_handler(request, error)
    names = ", ".join(str(each["loc"][-1]) for each in error.errors())
    return pages.failure(request, 422, f"The address makes no sense: {names}.")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if _is_api(request):
        return await http_exception_handler(request, error)
    return pages.failure(request, error.status_code, f"{error.detail}.")


async def _broken(request: Request, error: Exception) -> Response:
    words = "That should not have happened."
    if _is_api(request):
        return JSONResponse({"detail": words}, 500)
    return pages.failure(request, 500, words)


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")
