"""The protocol's `rpc`: pages of the API by the connection that is open anyway.

The method is the request line without its query, `GET /api/v1/communities/de/feed` (the verb may be
left out); the params are the query as a JSON object. Only routes that read JSON are there, with the
access rules, rate limits and pages of HTTP; and `POST /api/v1/ask`, whose params are its body, and
whose answer is the final one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from multidict import MultiDict
from prometheus_client import Counter

from actors.messages import Caller
from config.errors import AppError
from serve_app.api.call import Call, Services
from serve_app.api.endpoint import Endpoint
from serve_app.api.route import Route
from serve_app.gateway.codes import ReplyError

_PREFIX: Final = "/api/v1/"
_TEMPLATE: Final = re.compile(r"\{(\w+)\}")
_METHOD_CHARACTERS: Final = 512
_COUNTER: Final = itertools.count(1)

CALLS = Counter("serai_realtime_rpc_total", "Calls by rpc", ["route", "code"])

_Params = dict[str, str | bool | int | float | None]
_PARAMS: Final = msgspec.json.Decoder(_Params)


class _Page:
    """A route and the pattern of its paths."""

    def __init__(self, route: Route[Any, Any], services: Services) -> None:
        self.path = route.path
        self.verb = route.method
        self.takes_body = route.takes_body
        self.endpoint = Endpoint(route, services)
        parts = _TEMPLATE.split(route.path)
        self.templates = len(parts) // 2
        self.pattern = re.compile(
            "".join(f"(?P<{p}>[^/]+)" if n % 2 else re.escape(p) for n, p in enumerate(parts))
        )


class Rpc:
    """`services` are those of the gateway's HTTP side, whose edge cache is shared."""

    def __init__(self, routes: Sequence[Route[Any, Any]], services: Services) -> None:
        self._services = services
        pages = [_Page(route, services) for route in routes if is_callable(route)]
        # `similar` is no id.
        self._pages = sorted(pages, key=lambda page: page.templates)

    async def call(self, caller: Caller, address: str, method: str, params: bytes) -> bytes:
        """The page as JSON of one line. Raises AppError, `not_found` for an unknown method, and
        ReplyError 404 where the method is known and there is no such thing."""
        page, values = self._find(method)
        code = "ok"
        try:
            return await self._answer(page, values, caller, address, params)
        except AppError as error:
            code = error.code
            if code == "not_found":
                # 104 would say that the method is unknown.
                raise ReplyError(404, "not found") from None
            raise
        finally:
            CALLS.labels(page.path, code).inc()

    async def _answer(
        self, page: _Page, values: dict[str, str], caller: Caller, address: str, params: bytes
    ) -> bytes:
        call: Call[Any, Any] = Call(
            self._services, None, values, f"rpc-{next(_COUNTER):x}", address, None, None, caller
        )
        if page.takes_body:
            body = await page.endpoint.answer_call(call, MultiDict(), params or b"{}")
        else:
            body = await page.endpoint.answer_call(call, _query(params))
        return msgspec.json.format(body, indent=-1) if b"\n" in body else body

    def _find(self, method: str) -> tuple[_Page, dict[str, str]]:
        verb, _, path = method.rpartition(" ")
        if len(method) <= _METHOD_CHARACTERS and path.startswith(_PREFIX):
            for page in self._pages:
                found = page.pattern.fullmatch(path) if page.verb == (verb or "GET") else None
                if found is not None:
                    return page, found.groupdict()
        raise AppError("not_found", "There is no such method.")


def is_callable(route: Route[Any, Any]) -> bool:
    return (
        (route.method == "GET" or route.by_rpc)
        and route.path.startswith(_PREFIX)
        and route.access in ("guest", "member")
        and route.rate is not None
        and route.content_type == "application/json"
        and not route.hidden
    )


def _query(params: bytes) -> MultiDict[str]:
    """Raises AppError `invalid`."""
    try:
        given = _PARAMS.decode(params) if params and params != b"null" else {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise AppError("invalid", "The params must be an object of single values.") from None
    return MultiDict((name, _text(value)) for name, value in given.items() if value is not None)


def _text(value: str | bool | int | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
