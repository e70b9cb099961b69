"""The application: pages, pictures and the API over one engine, behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from sqlalchemy import Engine
from starlette.middleware import Middleware

from worker import __version__
from worker.dashboard import api, pages
from worker.dashboard.drawer import Drawer
from worker.dashboard.guard import Door, Guard
from worker.errors import ConfigurationError, DatabaseUnavailable, TooSlow, Unknown, WorkerError
from worker.log import get_logger

log = get_logger(__name__)


def application(engine: Engine, door: Door) -> FastAPI:
    """`engine` is read-only and has the analyst's rights."""
    app = FastAPI(
        title="sentiment-worker",
        version=__version__,
        summary="Stored sentiment, read-only.",
        openapi_url="/api/openapi.json",
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan,
        middleware=[Middleware(Guard, door=door)],
    )
    app.state.engine = engine
    app.add_exception_handler(WorkerError, _answered)
    app.include_router(api.router)
    app.include_router(pages.router)
    static = str(files("worker.dashboard").joinpath("static"))
    app.mount("/static", StaticFiles(directory=static), name="static")
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.drawer = Drawer()
    yield
    app.state.drawer.close()


def _answered(request: Request, error: Exception) -> Response:
    """An error of ours as its status, with its sentence; for the API as JSON."""
    assert isinstance(error, WorkerError)
    status = _status(error)
    # What a database says of itself may name hosts: that goes to the log alone.
    words = str(error) if status < 500 else "The database does not answer, or not in time."
    if status >= 500:
        log.warning("dashboard.failed", path=request.url.path, error=str(error))
    if request.url.path.startswith("/api/"):
        return JSONResponse({"detail": words}, status)
    return pages.failure(request, status, words, error.hint if status < 500 else "")


def _status(error: WorkerError) -> int:
    match error:
        case Unknown():
            return 404
        case TooSlow() | DatabaseUnavailable():
            return 503
        case ConfigurationError():
            return 400
        case _:
            return 500
