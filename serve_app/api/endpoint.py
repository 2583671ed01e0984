"""How a route answers: the one place of access, rate limits, decoding, errors and headers.

page in the edge cache? ─▶ answer                      (no token looked at, nothing decoded)
else  sizes ─▶ token ─▶ rate limit ─▶ body, query ─▶ handler ─▶ ETag, position, headers
      any AppError ─▶ problem+json;  anything else ─▶ 500 `internal`, logged with the request id
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from dataclasses import replace
from functools import partial
from typing import Any, Final, Generic

import msgspec
from aiohttp import ClientConnectionResetError, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, MultiMapping

from actors.messages import GUEST, Caller, Reply
from config.errors import AppError
from serve_app.api.call import B, Call, Q, Services
from serve_app.api.decoding import decode_body, decode_query
from serve_app.api.errors import problem_response
from serve_app.api.headers import (
    IDEMPOTENCY_KEY,
    POSITION,
    REQUEST_ID,
    etag_of,
    is_match,
    parse_position,
    position_text,
    request_id_of,
)
from serve_app.api.route import Route
from serve_app.gateway.edge_cache import ABSENT_CODES, Page
from serve_app.metrics import HTTP_DEFECTS, HTTP_REQUESTS, HTTP_SECONDS
from serve_app.tally import Tally

log = logging.getLogger(__name__)

MAX_HEADER_BYTES: Final = 32_768
# A client that sends its body slower than this holds memory for nothing.
_BODY_SECONDS: Final = 30.0
_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,126}[\x21-\x7e])?")
# With these answers to a guest, the same request may still succeed for a member.
_ASK_AS_MEMBER: Final = ABSENT_CODES | {"unauthenticated"}
_REQUEST_HEADER_FIELDS_TOO_LARGE: Final = 431
# Stands for a body or query until it is decoded, which is before any handler sees the call.
_UNDECODED: Final[Any] = None


class Endpoint(Generic[B, Q]):
    """One route of one gateway, ready to answer."""

    def __init__(self, route: Route[B, Q], services: Services) -> None:
        self._route = route
        self._services = services
        self._gateway = services.settings.gateway
        self._cache = services.edge_cache
        self._limiter = services.rate_limiter
        settings = services.settings
        self._max_body_bytes = (
            settings.media.max_file_bytes if route.takes_file else settings.gateway.max_body_bytes
        )
        self._body_decoder = msgspec.json.Decoder(route.body) if route.takes_body else None
        self._no_body: B = _UNDECODED if self._needs_body else msgspec.convert({}, route.body)
        self._seconds = HTTP_SECONDS.labels(route.method, route.path)
        self._counts: dict[int, Tally] = {}
        # A client's own cache hears no events: it may keep a page only for a moment.
        self._page_age = f"public, max-age={min(1, int(self._gateway.edge_cache_seconds))}"
        self._page_vary = services.headers.vary(
            *((POSITION, hdrs.AUTHORIZATION) if route.shared == "guests" else (POSITION,))
        )

    @property
    def _needs_body(self) -> bool:
        return self._route.takes_body and not self._route.body_optional

    async def handle_shared(self, request: web.Request) -> web.StreamResponse:
        """The same for a route that may be answered from the edge cache."""
        page = self._cache.hit_nowait(request.raw_path)
        if page is not None:
            response = self._hit(request, page)
            if response is not None:
                return response
        return await self.handle(request)

    # ------------------------------------------------------------ the hot path

    def _hit(self, request: web.Request, page: Page) -> web.Response | None:
        """None: this request needs the long way after all."""
        sent = request.headers
        for_guests = self._route.shared == "guests" or not page.public
        if for_guests and hdrs.AUTHORIZATION in sent:
            return None
        position = sent.get(POSITION)
        if position is not None and page.position <= parse_position(position):
            return None
        headers = page.headers.copy()
        if self._route.rate is not None:
            address = self._services.addresses.client_address(request)
            verdict = self._limiter.check_nowait(self._route.rate, None, address)
            if verdict is None or not verdict.allowed:
                return None
            if verdict.limit:
                headers.update(verdict.headers())
        self._cache.count_hit()
        headers[REQUEST_ID] = request_id_of(request)
        origin = sent.get(hdrs.ORIGIN)
        if origin is not None:
            self._services.headers.allow_origin(origin, headers)
        response = _page_response(request, page, headers)
        self._count(response.status)
        return response

    def _count(self, status: int) -> None:
        count = self._counts.get(status)
        if count is None:
            count = Tally(HTTP_REQUESTS.labels(self._route.method, self._route.path, str(status)))
            self._counts[status] = count
        count.add()

    # ------------------------------------------------------------ the long way

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers everything but its own cancellation."""
        started = time.perf_counter()
        request_id = request_id_of(request)
        call: Call[B, Q] = Call(
            self._services,
            request,
            request.match_info,
            request_id,
            self._services.addresses.client_address(request),
            self._no_body,
            _UNDECODED,
        )
        try:
            response = await self._answer(call)
        except AppError as error:
            response = problem_response(error, request_id)
        except HeadersTooLarge as error:
            status = _REQUEST_HEADER_FIELDS_TOO_LARGE
            response = problem_response(
                AppError("too_large", str(error)), request_id, status=status
            )
        except web.HTTPRequestEntityTooLarge:
            response = problem_response(self._too_large(), request_id)
        except ClientConnectionResetError:
            # The client went away while its answer began: aiohttp ends the connection quietly, and
            # thousands that give up together must not fill the log.
            raise
        except Exception:
            # The path template, never the query, headers or body: those may hold secrets.
            log.exception("%s %s failed (%s)", self._route.method, self._route.path, request_id)
            HTTP_DEFECTS.labels(self._route.path).inc()
            detail = "The failure is logged under the request id."
            response = problem_response(AppError("internal", detail), request_id)
        if response.prepared:  # a stream or a socket that has ended
            return response
        if request.can_read_body and not request.content.at_eof():
            response.force_close()  # what is left of the body is not the next request
        for name, value in call.headers.items():
            if name == hdrs.SET_COOKIE:
                response.headers.add(name, value)
            elif name not in response.headers:
                response.headers[name] = value
        self._services.headers.complete(request, response, request_id)
        self._count(response.status)
        self._seconds.observe(time.perf_counter() - started)
        return response

    async def _answer(self, call: Call[B, Q]) -> web.StreamResponse:
        route, request = self._route, call.request
        if sum(len(name) + len(value) for name, value in request.raw_headers) > MAX_HEADER_BYTES:
            raise HeadersTooLarge(f"At most {MAX_HEADER_BYTES} bytes of headers.")
        length = request.content_length
        if length is not None and length > self._max_body_bytes:
            raise self._too_large()
        token = request.headers.get(hdrs.AUTHORIZATION)
        shared = route.shared == "everyone" or (route.shared == "guests" and token is None)
        if shared and route.is_personal is not None:
            call.query = decode_query(route.query, request.query)
            shared = not route.is_personal(call.query)
        if route.access == "api_key":
            self._check_api_key(request)
        elif not shared and route.access not in ("open", "signed"):
            await self._authenticate(call)
        elif route.rate is not None and route.login_of is None:
            await self._limit(call, None)
        if self._body_decoder is not None:
            call.body = await self._read_body(request, self._body_decoder)
            if route.login_of is not None:
                await self._limit(call, route.login_of(call.body).strip().casefold())
        if call.query is _UNDECODED:
            call.query = decode_query(route.query, request.query)
        if route.idempotent:
            call.key = _idempotency_key(request)
        position = request.headers.get(POSITION)
        if position is not None:
            call.position = parse_position(position)
        if shared:
            return await self._shared_page(call)
        return self._reply(call, await route.handler(call))

    async def _authenticate(self, call: Call[B, Q]) -> None:
        """Sets the caller and charges the request, also when the token is refused."""
        refusal: AppError | None = None
        try:
            call.caller = self._caller(call)
        except AppError as error:
            refusal = error
        if self._route.rate is not None:
            account_id = call.caller.account_id
            await self._limit(call, str(account_id) if account_id is not None else None)
        if refusal is not None:
            raise refusal
        if self._route.access == "member" and call.caller.account_id is None:
            raise AppError("unauthenticated", "Log in and send the access token.")

    def _caller(self, call: Call[B, Q]) -> Caller:
        header = call.request.headers.get(hdrs.AUTHORIZATION)
        if header is None:
            return GUEST
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or not token.isascii():
            raise AppError("unauthenticated", "Authorization must be: Bearer <access token>.")
        return self._services.verify_token(token)[0]

    def _check_api_key(self, request: web.Request) -> None:
        api_key = self._services.settings.realtime.api_key
        if not api_key or self._services.server_api is None:
            raise AppError("not_found", "No such path.")
        given = request.headers.get("X-API-Key", "")
        if not given:
            scheme, _, rest = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
            given = rest.strip() if scheme.lower() == "apikey" else ""
        if not hmac.compare_digest(given.encode("utf-8", "replace"), api_key.encode()):
            raise AppError("unauthenticated", "Send the API key as X-API-Key.")

    async def _limit(self, call: Call[B, Q], account_id: str | None) -> None:
        assert self._route.rate is not None
        verdict = await self._limiter.check(self._route.rate, account_id, call.address)
        call.headers.update(verdict.headers())
        if not verdict.allowed:
            wait = float(verdict.retry_after_seconds)
            raise AppError("rate_limited", "Wait before trying again.", retry_after_seconds=wait)

    async def _read_body(self, request: web.Request, decoder: msgspec.json.Decoder[B]) -> B:
        if not request.can_read_body and not self._needs_body:
            return self._no_body
        encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity")
        if encoding.strip().lower() != "identity":
            # A compressed body could unpack to a thousand times what was sent.
            raise AppError("unsupported_media_type", "Send the body uncompressed.")
        if request.content_type != "application/json":
            raise AppError("unsupported_media_type", "Send the body as application/json.")
        if (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
            raise AppError("unsupported_media_type", "Send the body as UTF-8.")
        raw = await read_raw(request)
        if not raw and not self._needs_body:
            return self._no_body
        return decode_body(decoder, raw)

    async def _shared_page(self, call: Call[B, Q]) -> web.StreamResponse:
        """As a guest first, one read for all who ask; then, where that fails, as the member."""
        route, request = self._route, call.request
        key = self._page_key(call)
        may_be_member = hdrs.AUTHORIZATION in request.headers

        try:
            page = await self._cache.page(
                key,
                request.raw_path,
                call.position if POSITION in request.headers else None,
                partial(self._load, call),
                self._page_headers,
            )
        except AppError as error:
            if not may_be_member or error.code not in _ASK_AS_MEMBER:
                raise
        else:
            if page.public or not may_be_member:
                return _page_response(request, page, page.headers.copy())
        call.caller = self._caller(call)
        return self._reply(call, await route.handler(call))

    async def answer_call(
        self, call: Call[B, Q], query: MultiMapping[str], body: bytes = b""
    ) -> bytes:
        """The page for a call without HTTP, whose caller is known; as `handle`, with the same rate
        limit and edge cache. `body` is for a route that takes one. Raises AppError."""
        route, caller = self._route, call.caller
        if route.rate is not None:
            account_id = caller.account_id
            await self._limit(call, str(account_id) if account_id is not None else None)
        if route.access == "member" and caller.account_id is None:
            raise AppError("unauthenticated", "Connect with an access token.")
        call.body, call.query = self._no_body, decode_query(route.query, query)
        if self._body_decoder is not None:
            call.body = decode_body(self._body_decoder, body)
        is_guest = caller.account_id is None
        shared = route.shared == "everyone" or (route.shared == "guests" and is_guest)
        if shared and not (route.is_personal is not None and route.is_personal(call.query)):
            as_guest = replace(call, caller=GUEST)
            key = self._page_key(call)
            try:
                # No URL is spelt like this alias: HTTP goes by its own.
                page = await self._cache.page(
                    key, f"rpc {key}", None, partial(self._load, as_guest), self._page_headers
                )
            except AppError as error:
                if is_guest or error.code not in _ASK_AS_MEMBER:
                    raise
            else:
                if page.public or is_guest:
                    return page.body
        return (await self._load(call, call.position)).body

    async def _load(self, call: Call[B, Q], position: int) -> Reply:
        answer = await self._route.handler(replace(call, position=position))
        assert isinstance(answer, Reply)
        return answer

    def _page_key(self, call: Call[B, Q]) -> str:
        path = "/".join(call.values.values())
        return f"{self._route.path}\n{path}\n{msgspec.json.encode(call.query).decode()}"

    def _page_headers(self, reply: Reply) -> CIMultiDict[str]:
        headers = self._services.headers.base.copy()
        headers[hdrs.CONTENT_TYPE] = self._route.content_type
        headers[hdrs.ETAG] = etag_of(reply.body)
        headers[hdrs.CACHE_CONTROL] = self._page_age
        headers[hdrs.VARY] = self._page_vary
        return headers

    def _reply(self, call: Call[B, Q], answer: Reply | web.StreamResponse) -> web.StreamResponse:
        if isinstance(answer, web.StreamResponse):
            return answer
        headers: CIMultiDict[str] = CIMultiDict({hdrs.CACHE_CONTROL: "no-store"})
        if self._route.method == "GET":
            etag = headers[hdrs.ETAG] = etag_of(answer.body)
            if_none_match = call.request.headers.get(hdrs.IF_NONE_MATCH)
            if if_none_match is not None and is_match(etag, if_none_match):
                return web.Response(status=304, headers=headers)
        elif answer.position:
            headers[POSITION] = position_text(answer.position)
        if not answer.body:
            return web.Response(status=answer.status, headers=headers)
        headers[hdrs.CONTENT_TYPE] = self._route.content_type
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    def _too_large(self) -> AppError:
        return AppError("too_large", f"At most {self._max_body_bytes} bytes of body.")


async def read_raw(request: web.Request) -> bytes:
    """The body, within the gateway's bounds of size and time. Raises AppError `invalid`."""
    try:
        if request.content.is_eof():  # as small bodies do, it came together with its head
            return await request.read()
        async with asyncio.timeout(_BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise AppError("invalid", "The body did not arrive in time.") from None
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
        raise AppError("invalid", "The body is not framed as HTTP asks.") from None


class HeadersTooLarge(Exception):
    """All headers together are over MAX_HEADER_BYTES."""


def _page_response(request: web.Request, page: Page, headers: CIMultiDict[str]) -> web.Response:
    if_none_match = request.headers.get(hdrs.IF_NONE_MATCH)
    if if_none_match is not None and is_match(headers[hdrs.ETAG], if_none_match):
        del headers[hdrs.CONTENT_TYPE]
        return web.Response(status=304, headers=headers)
    return web.Response(body=page.body, headers=headers)


def _idempotency_key(request: web.Request) -> str | None:
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return None
    if _IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise AppError(
            "invalid",
            "Idempotency-Key must be 1 to 128 printable ASCII characters.",
            errors=((IDEMPOTENCY_KEY, "is not 1 to 128 printable ASCII characters"),),
        )
    return key
