"""For operators: is the process alive, do the backends answer, what do the metrics say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final
from uuid import UUID

import msgspec
from aiohttp import hdrs, web

from actors.account_messages import AuthorizeChannel
from actors.feed_messages import ListCountries
from actors.messages import GUEST, ReadPost, Reply
from config.errors import AppError
from serve_app.api.call import Call, Services
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import Health
from serve_app.metrics import exposition

# Local port of the site that is for operators and other gateways alone; none while it is closed.
PRIVATE_PORT: Final = web.AppKey("private_port", list[int])
# What whoever is no operator may ask there: a load balancer, on another machine, looks at these.
PROBES: Final = frozenset({"/healthz", "/readyz"})
DRAINING: Final = web.AppKey("draining", asyncio.Event)

_ANSWER_SECONDS: Final = 2.0
VERDICT_SECONDS: Final = 1.0
_NOBODY: Final = UUID(int=0)
# Everything else, `not_found` too, is an answer of a backend that works.
_DOWN: Final = frozenset({"unavailable", "overloaded", "internal"})
_encode: Final = msgspec.json.Encoder().encode


class Readiness:
    """One verdict for all who ask within a second: asking is open to everybody and costs calls."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asking = asyncio.Lock()
        self._verdict: tuple[tuple[str, str], ...] = ()
        self._until = float("-inf")

    async def silent(self, services: Services) -> tuple[tuple[str, str], ...]:
        """(part, reason) of each that does not answer; who asks meanwhile waits for the same."""
        async with self._asking:
            if self._clock() >= self._until:
                self._verdict = await _probe(services)
                self._until = self._clock() + VERDICT_SECONDS
            return self._verdict


READINESS: Final = web.AppKey("readiness", Readiness)


async def _probe(services: Services) -> tuple[tuple[str, str], ...]:
    backends = services.backends
    async with asyncio.TaskGroup() as group:
        probes = {
            name: group.create_task(_ask(probe))
            for name, probe in (
                ("feed", backends.feed(ListCountries())),
                ("thread", backends.thread_read(ReadPost(GUEST, _NOBODY))),
                (
                    "accounts",
                    backends.accounts_read(AuthorizeChannel(GUEST, f"community:{_NOBODY}")),
                ),
            )
        }
    reasons = {name: probe.result() for name, probe in probes.items()}
    # Not rate limits: without their owner a gateway goes on with its own share.
    reasons["realtime"] = "" if services.realtime.is_connected else "not every shard answers"
    return tuple((name, reason) for name, reason in reasons.items() if reason)


async def healthz(call: Call[Nothing, Nothing]) -> Reply:
    return Reply(body=_encode(Health("alive")))


async def readyz(call: Call[Nothing, Nothing]) -> Reply:
    if call.request.app[DRAINING].is_set():
        raise AppError("unavailable", "This gateway is being stopped.", retry_after_seconds=1.0)
    silent = await call.request.app[READINESS].silent(call.services)
    if silent:
        raise AppError(
            "unavailable", "Not every part answers yet.", errors=silent, retry_after_seconds=1.0
        )
    return Reply(body=_encode(Health("ready")))


async def metrics(call: Call[Nothing, Nothing]) -> web.Response:
    request = call.request
    if not call.services.addresses.is_operator(request):
        raise AppError("not_found")
    body, content_type = await exposition(request.headers.get(hdrs.ACCEPT, ""))
    headers = {hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: "no-store"}
    return web.Response(body=body, headers=headers)


async def _ask(probe: Coroutine[Any, Any, Reply]) -> str:
    """Why the backend is not ready; empty: it is."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await probe
    except TimeoutError:
        return "does not answer in time"
    except AppError as error:
        return error.code if error.code in _DOWN else ""
    return ""


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route("GET", "/healthz", healthz, "The process is alive", access="open", answer=Health),
    Route(
        "GET", "/readyz", readyz, "Every backend and every shard answers", access="open",
        answer=Health, refusals=("unavailable",),
    ),
    Route(
        "GET", "/metrics", metrics, "Prometheus metrics, for operators alone", access="open",
        refusals=("not_found",), content_type="text/plain",
    ),
)  # fmt: skip
