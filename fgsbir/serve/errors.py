"""Answers to requests that cannot be served."""

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

    code: str = Field(description="one word for programs, such as `busy`")
    message: str = Field(description="a sentence for people")
    field: str | None = Field(default=None, description="the part of the request that is at fault, if there is one")


class ErrorAnswer(BaseModel):
    """The body of every answer that is an error."""

    error: Problem


class ApiError(HTTPException):
    """A request that is refused.

    Args:
        status: of the answer.
        code: one word for programs.
        message: a sentence for people.
        field: the part of the request that is at fault.
        retry_after: seconds until it may be asked again.
    """

    def __init__(
        self, status: int, code: str, message: str, field: str | None = None, retry_after: float | None = None
    ) -> None:
        headers = None if retry_after is None else {"Retry-After": str(max(1, ceil(retry_after)))}
        super().__init__(status, message, headers)
        self.problem = Problem(code=code, message=message, field=field)


_MEANINGS = {
    400: "The request is malformed.",
    404: "There is no such thing.",
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    415: "The file has a format that is not read.",
    422: "A field does not fit, or the file cannot be read.",
    429: "The client asks too often; `Retry-After` says when to ask again.",
    503: "The server is busy; `Retry-After` says when to ask again.",
}
_CODES = {400: "malformed", 404: "not_found", 405: "method_not_allowed"}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI document says of these answers."""
    wait = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return {
        status: {"model": ErrorAnswer, "description": _MEANINGS[status]}
        | ({"headers": wait} if status in (429, 503) else {})
        for status in statuses
    }


def answer(error: HTTPException) -> JSONResponse:
    """The answer to a request that is refused."""
    if isinstance(error, ApiError):
        problem = error.problem
    else:  # of the framework: no such route, another method, a body that is no JSON
        problem = Problem(code=_CODES.get(error.status_code, "refused"), message=str(error.detail))
    return JSONResponse(ErrorAnswer(error=problem).model_dump(), error.status_code, error.headers)


async def on_refusal(request: Request, error: Exception) -> JSONResponse:
    """Answers an `HTTPException`."""
    assert isinstance(error, HTTPException)
    return answer(error)


async def on_invalid(request: Request, error: Exception) -> JSONResponse:
    """Answers a request whose fields do not fit: 400 if it is no JSON, else 422."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return answer(ApiError(400, "malformed", "The body is not valid JSON."))
    # The first word says whether it is the body, the path or the query. Names that a client made up are not repeated.
    path = ".".join(str(part) for part in first["loc"][1:]) if first["type"] != "extra_forbidden" else ""
    return answer(ApiError(422, "invalid", f"{first['msg']}.", path or None))


async def on_failure(request: Request, error: Exception) -> JSONResponse:
    """Answers what nobody foresaw, and tells nothing of it; the log has it."""
    return answer(ApiError(500, "failed", "The server failed; its log says more."))
