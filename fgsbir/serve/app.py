"""The web application: a page to draw on, and its API."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import asdict
from importlib.resources import files
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from fgsbir import __version__, images
from fgsbir.serve.errors import ApiError, documented, on_failure, on_invalid, on_refusal
from fgsbir.serve.guard import FILES, Guard
from fgsbir.serve.limits import Limits
from fgsbir.serve.messages import (
    ExplainAnswer,
    ExplainRequest,
    ExplanationAnswer,
    HealthAnswer,
    HitAnswer,
    InfoAnswer,
    Milliseconds,
    SearchAnswer,
    SearchRequest,
    SketchAnswer,
)
from fgsbir.serve.metrics import Metrics
from fgsbir.serve.pool import Pool
from fgsbir.serve.reader import Reader, Unreadable

if TYPE_CHECKING:
    from fgsbir.search.searcher import PairView, Searcher

FORMATS = {
    ".svg": "image/svg+xml",
    ".svgz": "image/svg+xml",
    ".json": "application/json",
    ".ndjson": "application/x-ndjson",
    ".npy": "application/x-npy",
    **{suffix: format_.media for format_ in images.FORMATS for suffix in format_.suffixes},
}
"""Sketch files by suffix, with their Content-Type."""
_SUFFIXES: dict[str, str] = {}
for _suffix, _media in FORMATS.items():
    _SUFFIXES.setdefault(_media, _suffix)  # the first suffix of several
_PAGE = {"": "text/html", "style.css": "text/css", "icon.svg": "image/svg+xml"}
_PAGE |= dict.fromkeys(("page.js", "api.js", "drawing.js", "paper.js", "results.js", "explain.js"), "text/javascript")


def create_app(searcher: Searcher, limits: Limits | None = None, hosts: Collection[str] | None = None) -> FastAPI:
    """The application that serves an index.

    Args:
        searcher: searcher over the index.
        limits: limits of requests; `Limits()` by default.
        hosts: host names that requests may use; None allows any.
    """
    limits = limits or Limits()
    metrics = Metrics(len(searcher))
    matches = Pool("match", limits.matches, limits.waiting, metrics)
    reads = Pool("read", 1, limits.waiting, metrics)
    reader = Reader(limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        matches.close()
        reads.close()
        reader.close()

    app = FastAPI(
        title="fgsbir",
        version="1",
        description="Finds photos by a sketch.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # this page would load scripts from other servers
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers={HTTPException: on_refusal, RequestValidationError: on_invalid, Exception: on_failure},
    )
    app.add_middleware(Guard, limits=limits, metrics=metrics, hosts=hosts)
    api = APIRouter(prefix="/api/v1")

    @api.post("/search", responses=documented(400, 408, 413, 422, 429, 503))
    async def search(query: SearchRequest, request: Request) -> SearchAnswer:
        """The photos nearest to a sketch."""
        started = perf_counter()
        if query.top > limits.top:
            raise ApiError(422, "many_photos", f"An answer holds at most {limits.top} photos.", "top")
        sketch = query.sketch(limits)
        found, worked = await matches.run(request, searcher.search, sketch, query.top)
        total = 1000 * (perf_counter() - started)
        ms = {"encode": found.encode_ms, "first": found.first_ms, "match": found.match_ms}
        for stage, value in ms.items():
            metrics.stage(stage, value)
        hits = [HitAnswer(photo=hit.photo, distance=hit.distance) for hit in found.hits]
        return SearchAnswer(hits=hits, ms=Milliseconds(**ms, wait=max(0.0, total - worked), total=total))

    @api.post("/explain", responses=documented(400, 404, 408, 413, 422, 429, 503))
    async def explain(query: ExplainRequest, request: Request) -> ExplainAnswer:
        """Attention between strokes and regions of a photo, and the order in which they fuse."""
        sketch = query.sketch(limits)
        try:
            view, worked = await matches.run(request, searcher.explain, sketch, query.photo)
        except KeyError:
            raise _no_photo() from None
        metrics.stage("explain", worked)
        return ExplainAnswer(photo=query.photo, explanation=None if view is None else _explanation(view))

    content = {media: {"schema": {"type": "string", "format": "binary"}} for media in _SUFFIXES}
    document = {"requestBody": {"required": True, "content": content}}

    @api.post(
        FILES.removeprefix(api.prefix), responses=documented(408, 413, 415, 422, 429, 503), openapi_extra=document
    )
    async def sketch(request: Request) -> SketchAnswer:
        """The strokes of a sketch file: SVG, QuickDraw, stroke-3, stroke-5, or an image."""
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media not in _SUFFIXES:
            raise ApiError(
                415, "format", f"The Content-Type '{media[:80]}' is none of {', '.join(_SUFFIXES)}.", "Content-Type"
            )
        body, suffix = await request.body(), _SUFFIXES[media]
        if suffix == ".svg" and len(body) > limits.svg_bytes:
            raise ApiError(413, "too_large", f"The SVG has more than {limits.svg_bytes} bytes.")
        try:
            drawing, worked = await reads.run(request, reader.read, body, suffix)
        except Unreadable as error:
            raise ApiError(422, "unreadable", f"{error}.") from None
        metrics.stage("read", worked)
        return SketchAnswer(strokes=[stroke.tolist() for stroke in drawing.strokes])

    jpeg: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}, "description": "The thumbnail."}}

    @api.get(
        "/photos/{photo:path}/thumbnail",
        response_class=Response,
        responses=jpeg | {304: {"description": "The thumbnail has not changed."}} | documented(404, 422),
    )
    def thumbnail(photo: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        """A thumbnail of a photo, whose id may contain slashes."""
        try:
            content = searcher.thumbnail(photo)
        except KeyError:
            raise _no_photo() from None
        return _cached(content, "image/jpeg", if_none_match)

    @api.get("/info")
    async def info() -> InfoAnswer:
        """Version, number of photos, sketch formats and limits of this server."""
        return InfoAnswer(version=__version__, photos=len(searcher), formats=FORMATS, limits=asdict(limits))

    @app.get("/healthz")
    async def healthz() -> HealthAnswer:
        """Health of the server."""
        return HealthAnswer(status="ok", photos=len(searcher))

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}, "description": "OK"}})
    async def prometheus() -> Response:
        """Metrics in Prometheus's text format."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    app.include_router(api)
    for name, media in _PAGE.items():
        app.get(f"/{name}", include_in_schema=False)(_page_file(name or "index.html", media))
    return app


def _page_file(name: str, media: str) -> Callable[..., Response]:
    """A route that answers with a file of the page; the file is read once."""
    content = (files("fgsbir.serve") / "static" / name).read_bytes()

    def file(if_none_match: Annotated[str | None, Header()] = None) -> Response:
        return _cached(content, media, if_none_match)

    return file


def _cached(content: bytes, media: str, known: str | None) -> Response:
    """The content, or 304 if the client's copy is current."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    return Response(status_code=304, headers=headers) if tag == known else Response(content, 200, headers, media)


def _no_photo() -> ApiError:
    return ApiError(404, "no_photo", "The index has no photo of this id.", "photo")


def _explanation(view: PairView) -> ExplanationAnswer:
    return ExplanationAnswer.model_validate(view._asdict() | view.explanation._asdict())
