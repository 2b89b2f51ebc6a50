"""Error answers of the API."""

from __future__ import annotations

from math import ceil
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException


class Problem(BaseModel):
    """What is wrong with a request."""

    code: str = Field(description="machine-readable code, such as `busy`")
    message: str = Field(description="human-readable sentence")
    field: str | None = Field(default=None, description="field of the request that is at fault, if there is one")


class ErrorAnswer(BaseModel):
    """The body of every error answer."""

    error: Problem


class ApiError(HTTPException):
    """Refuses a request.

    Args:
        status: HTTP status of the answer.
        code: machine-readable code.
        message: human-readable sentence.
        field: field of the request that is at fault.
        retry_after: seconds until the client may ask again.
    """

    def __init__(
        self, status: int, code: str, message: str, field: str | None = None, retry_after: float | None = None
    ) -> None:
        headers = None if retry_after is None else {"Retry-After": str(max(1, ceil(retry_after)))}
        super().__init__(status, message, headers)
        self.problem = Problem(code=code, message=message, field=field)


_MEANINGS = {
    400: "The request is malformed.",
    404: "The index has no photo of this id.",
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    415: "The file format is not supported.",
    422: "A field is invalid, or the file cannot be read.",
    429: "The client sends too many requests; `Retry-After` gives the seconds to wait.",
    503: "The server is busy; `Retry-After` gives the seconds to wait.",
}
_CODES = {400: "malformed", 404: "not_found", 405: "method_not_allowed"}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The entries of these answers in the OpenAPI document."""
    wait = {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}}
    return {
        status: {"model": ErrorAnswer, "description": _MEANINGS[status]}
        | ({"headers": wait} if status in (429, 503) else {})
        for status in statuses
    }


def answer(error: HTTPException) -> JSONResponse:
    """The answer to a refused request."""
    if isinstance(error, ApiError):
        problem = error.problem
    else:  # raised by the framework: unknown route, wrong method, body that is not JSON
        problem = Problem(code=_CODES.get(error.status_code, "refused"), message=str(error.detail))
    return JSONResponse(ErrorAnswer(error=problem).model_dump(), error.status_code, error.headers)


async def on_refusal(request: Request, error: Exception) -> JSONResponse:
    """Answers an `HTTPException`."""
    assert isinstance(error, HTTPException)
    return answer(error)


async def on_invalid(request: Request, error: Exception) -> JSONResponse:
    """Answers an invalid request: 400 if its body is not JSON, else 422."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return answer(ApiError(400, "malformed", "The body is not valid JSON."))
    # The first part of the location is "body", "path" or "query". Unknown names are not echoed.
    path = ".".join(str(part) for part in first["loc"][1:]) if first["type"] != "extra_forbidden" else ""
    return answer(ApiError(422, "invalid", f"{first['msg']}.", path or None))


async def on_failure(request: Request, error: Exception) -> JSONResponse:
    """Answers an unexpected error without its details, which are in the log."""
    return answer(ApiError(500, "failed", "The server failed; see its log."))
