"""Middleware in front of every route: allowed hosts, rate limits and body sizes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from time import monotonic, perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fgsbir.serve.errors import ApiError, answer
from fgsbir.serve.limits import Limits
from fgsbir.serve.metrics import Metrics

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FILES = "/api/v1/sketch"
"""The route whose body is a file."""


class Buckets:
    """A token bucket for each client.

    Args:
        rate: tokens a second.
        burst: capacity of a bucket, in tokens.
        most: most buckets kept; the least recently used one is dropped first.
    """

    def __init__(self, rate: float, burst: int, most: int = 10_000) -> None:
        self.rate, self.burst, self.most = rate, burst, most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, client: str, now: float) -> float:
        """Takes a token: 0 if there is one, else the seconds until there will be."""
        tokens, then = self._buckets.pop(client, (float(self.burst), now))
        tokens = min(self.burst, tokens + (now - then) * self.rate)
        enough = tokens >= 1
        self._buckets[client] = (tokens - enough, now)
        if len(self._buckets) > self.most:
            self._buckets.popitem(last=False)
        return 0.0 if enough else (1 - tokens) / self.rate


class Guard:
    """Refuses excessive requests before their bodies are read, counts all requests and sets security headers.

    Args:
        app: application behind it.
        limits: limits of requests.
        metrics: metrics to update.
        hosts: host names that requests may use; None allows any. Names are checked because a web page whose own name
            resolves to this server (DNS rebinding) could read the answers.
    """

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics, hosts: Collection[str] | None) -> None:
        self.app, self.limits, self.metrics, self.hosts = app, limits, metrics, hosts
        self.buckets = Buckets(limits.rate, limits.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = perf_counter(), 500

        async def send_safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        with self.metrics.in_flight.track_inprogress():
            try:
                self._admit(scope)
                await self.app(scope, self._limited(scope, receive), send_safely)
            except ApiError as error:
                await answer(error)(scope, receive, send_safely)
            finally:
                route = getattr(scope.get("route"), "path", "none")
                method = scope["method"] if route != "none" else "any"  # clients can make up methods
                self.metrics.requests.labels(method, route, status).inc()
                self.metrics.seconds.labels(route).observe(perf_counter() - started)

    def _admit(self, scope: Scope) -> None:
        """Refuses a wrong host, a client over its rate, or a body whose header announces too much."""
        headers = Headers(scope=scope)
        if self.hosts is not None and _host(headers.get("host", "")) not in self.hosts:
            raise ApiError(400, "host", "The server does not have this host name.", "Host")
        if scope["method"] != "POST":
            return
        client = scope["client"][0] if scope.get("client") else ""
        if wait := self.buckets.wait(client, monotonic()):
            self.metrics.rejected.labels("rate").inc()
            raise ApiError(429, "rate", "Too many requests.", retry_after=wait)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._most(scope):
            raise self._too_large(scope)

    def _most(self, scope: Scope) -> int:
        return self.limits.file_bytes if scope["path"] == FILES else self.limits.body_bytes

    def _too_large(self, scope: Scope) -> ApiError:
        self.metrics.rejected.labels("size").inc()
        return ApiError(413, "too_large", f"The body has more than {self._most(scope)} bytes.")

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """`receive` with a limit on the bytes that arrive, whatever the header says, and on the time they take."""
        size, ended, deadline = 0, False, monotonic() + self.limits.body_seconds

        async def receive_limited() -> Message:
            nonlocal size, ended
            if ended:  # the next message is the end of the connection
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0, deadline - monotonic()))
            except TimeoutError:
                self.metrics.rejected.labels("slow").inc()
                raise ApiError(408, "slow", "The body took too long to arrive.") from None
            size += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if size > self._most(scope):
                raise self._too_large(scope)
            return message

        return receive_limited


def _host(header: str) -> str:
    """The host name of a Host header, without the port."""
    return header.lower().partition("]")[0] + "]" if header.startswith("[") else header.lower().partition(":")[0]
