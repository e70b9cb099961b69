"""The application: pages, pictures and the API over one engine, behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator
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
    app.add_exception_handler(RequestValidationError, _misasked)
    app.add_exception_handler(HTTPException, _refused)
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
    if _is_api(request):
        return JSONResponse({"detail": words}, status)
    return pages.failure(request, status, words, error.hint if status < 500 else "")


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


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")


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
