"""For operators: is the process alive, do the backends answer, what do the metrics say."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final
from uuid import UUID

import msgspec
from aiohttp import hdrs, web

from actors.messages import GUEST, AuthorizeChannel, ListCountries, ReadPost, Reply
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import Health
from serve_app.metrics import exposition

# Local port of the site that is for operators and other gateways alone; 0 while there is none.
PRIVATE_PORT: Final = web.AppKey("private_port", list[int])
DRAINING: Final = web.AppKey("draining", asyncio.Event)

_ANSWER_SECONDS: Final = 2.0
_NOBODY: Final = UUID(int=0)
# Everything else, `not_found` too, is an answer of a backend that works.
_DOWN: Final = frozenset({"unavailable", "overloaded", "internal"})
_encode: Final = msgspec.json.Encoder().encode


async def healthz(call: Call[Nothing, Nothing]) -> Reply:
    return Reply(body=_encode(Health("alive")))


async def readyz(call: Call[Nothing, Nothing]) -> Reply:
    if call.request.app[DRAINING].is_set():
        raise AppError("unavailable", "This gateway is being stopped.", retry_after_seconds=1.0)
    backends = call.backends
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
    silent = tuple((name, reason) for name, probe in probes.items() if (reason := probe.result()))
    if silent:
        raise AppError(
            "unavailable", "Not every part answers yet.", errors=silent, retry_after_seconds=1.0
        )
    return Reply(body=_encode(Health("ready")))


async def metrics(call: Call[Nothing, Nothing]) -> web.Response:
    request = call.request
    transport = request.transport
    sockname = transport.get_extra_info("sockname") if transport is not None else None
    is_private = isinstance(sockname, tuple) and sockname[1] in request.app[PRIVATE_PORT]
    if not is_private and not call.services.addresses.is_operator(request):
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
        "GET", "/readyz", readyz, "Every backend answers", access="open", answer=Health,
        refusals=("unavailable",),
    ),
    Route(
        "GET", "/metrics", metrics, "Prometheus metrics, for operators alone", access="open",
        refusals=("not_found",), content_type="text/plain",
    ),
)  # fmt: skip
