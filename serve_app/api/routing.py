"""The route table, and the application made from it.

Every path of the server is in ROUTES, with who may call it. What is not in it is 404, with another
method 405; OPTIONS is answered for every path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import hdrs, web

from config.errors import AppError
from config.settings import Settings
from serve_app.api import (
    admissions,
    ask,
    auth,
    checklists,
    comments,
    communities,
    connections,
    derived,
    directory,
    docs,
    drafts,
    feeds,
    follows,
    groups,
    guides,
    health,
    me,
    media,
    members,
    moderation,
    moves,
    mutes,
    notifications,
    own_data,
    polls,
    posts,
    preview,
    realtime,
    saves,
    search,
    tags,
    timelines,
    votes,
)
from serve_app.api.call import CallServerApi, Services
from serve_app.api.endpoint import Endpoint
from serve_app.api.errors import problem_response
from serve_app.api.headers import SharedHeaders, request_id_of
from serve_app.api.openapi import document
from serve_app.api.route import Route
from serve_app.gateway.addresses import ClientAddresses
from serve_app.gateway.backends import Backends, Limiter, Realtime, VerifyToken
from serve_app.gateway.edge_cache import EdgeCache
from serve_app.metrics import HTTP_REQUESTS
from serve_app.site import atom, pages, sitemap
from serve_app.site.assets import file_response, not_found_page

if TYPE_CHECKING:
    from storage.objects import Objects

SERVICES: Final = web.AppKey("services", Services)

# Of a connection that sends nothing; longer than the 60 s that proxies keep theirs open.
_KEEPALIVE_SECONDS: Final = 75.0
_LINE_BYTES: Final = 8_190
_HEADERS: Final = 100


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    *auth.ROUTES,
    *me.ROUTES,
    *own_data.ROUTES,
    *directory.ROUTES,
    *guides.ROUTES,
    *communities.ROUTES,
    *members.ROUTES,
    *groups.ROUTES,
    *admissions.ROUTES,
    *feeds.ROUTES,
    *tags.ROUTES,
    *search.ROUTES,
    *posts.ROUTES,
    *preview.ROUTES,
    *moves.ROUTES,
    *polls.ROUTES,
    *comments.ROUTES,
    *derived.ROUTES,
    *votes.ROUTES,
    *drafts.ROUTES,
    *saves.ROUTES,
    *follows.ROUTES,
    *mutes.ROUTES,
    *media.ROUTES,
    *timelines.ROUTES,
    *checklists.ROUTES,
    *moderation.ROUTES,
    *notifications.ROUTES,
    *realtime.ROUTES,
    *ask.ROUTES,
    *docs.ROUTES,
    *health.ROUTES,
    *pages.ROUTES,
    *sitemap.ROUTES,
    *atom.ROUTES,
    *connections.ROUTES,
)


def build_app(
    settings: Settings,
    backends: Backends,
    realtime: Realtime,
    rate_limiter: Limiter,
    verify_token: VerifyToken,
    routes: Sequence[Route[Any, Any]] = ROUTES,
    *,
    server_api: CallServerApi | None = None,
    objects: Objects | None = None,
) -> web.Application:
    """The application of one gateway; ends its edge cache with itself, nothing else. Without
    `server_api` its routes are none, without `objects` there are no files."""
    gateway = settings.gateway
    cache = EdgeCache(
        realtime, max_bytes=gateway.edge_cache_bytes, max_age_seconds=gateway.edge_cache_seconds
    )
    services = Services(
        settings,
        backends,
        realtime,
        rate_limiter,
        verify_token,
        cache,
        ClientAddresses(gateway.trusted_proxies),
        SharedHeaders(gateway.cors_origins),
        server_api,
        objects,
    )
    app = web.Application(
        client_max_size=gateway.max_body_bytes,
        handler_args={
            "keepalive_timeout": _KEEPALIVE_SECONDS,
            "max_line_size": _LINE_BYTES,
            "max_field_size": _LINE_BYTES,
            "max_headers": _HEADERS,
            "access_log": None,
        },
    )
    app[SERVICES] = services
    app[health.PRIVATE_PORT] = []
    app[health.DRAINING] = asyncio.Event()
    app[pages.SITE] = pages.open_site(objects)
    app[docs.OPENAPI] = msgspec.json.encode(document(routes, auth.cookie_name(gateway.port)))
    expect = _Expectation(services, gateway.max_body_bytes).handle
    expect_file = _Expectation(services, settings.media.max_file_bytes).handle
    methods_of: dict[str, list[str]] = {}
    for route in routes:
        methods_of.setdefault(route.path, []).append(route.method)
        endpoint = Endpoint(route, services)
        handler = endpoint.handle if route.shared == "never" else endpoint.handle_shared
        app.router.add_route(
            route.method,
            route.path,
            handler,
            expect_handler=expect_file if route.takes_file else expect,
        )
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, handler, expect_handler=expect)
    for path, methods in methods_of.items():
        other = _OtherMethod(services, path, methods)
        app.router.add_route("*", path, other.handle, expect_handler=expect)
    nowhere = _Nowhere(services)
    app.router.add_route("*", "/{path:.*}", nowhere.handle, expect_handler=expect)

    async def end(app: web.Application) -> None:
        await cache.close()

    app.on_cleanup.append(end)
    return app


class _OtherMethod:
    """A known path with a method that it does not have."""

    def __init__(self, services: Services, path: str, methods: Sequence[str]) -> None:
        names = {*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
        self._allow = ", ".join(sorted(names))
        self._path = path
        self._headers = services.headers

    async def handle(self, request: web.Request) -> web.StreamResponse:
        request_id = request_id_of(request)
        if request.method == hdrs.METH_OPTIONS:
            response = self._headers.preflight(request, self._allow)
        else:
            error = AppError("method_not_allowed", f"Allowed here: {self._allow}.")
            response = problem_response(error, request_id, headers={hdrs.ALLOW: self._allow})
        self._headers.complete(request, response, request_id)
        HTTP_REQUESTS.labels("other", self._path, str(response.status)).inc()
        return response


class _Nowhere:
    """A path that is in no table: a file of the frontend, or nothing."""

    def __init__(self, services: Services) -> None:
        self._headers = services.headers

    async def handle(self, request: web.Request) -> web.StreamResponse:
        request_id = request_id_of(request)
        site = request.app[pages.SITE]
        response = file_response(site, request)
        if response is not None:
            path = "file"
        else:
            path = "unknown"
            response = not_found_page(site, request) or problem_response(
                AppError("not_found", "No such path."), request_id
            )
        self._headers.complete(request, response, request_id)
        HTTP_REQUESTS.labels("any", path, str(response.status)).inc()
        return response


class _Expectation:
    """`Expect`, before the handler runs: the body is asked for unless it is refused anyway."""

    def __init__(self, services: Services, max_body_bytes: int) -> None:
        self._services = services
        self._max_body_bytes = max_body_bytes

    async def handle(self, request: web.Request) -> web.StreamResponse | None:
        length, limit = request.content_length, self._max_body_bytes
        if length is not None and length > limit:
            return self._refuse(request, AppError("too_large", f"At most {limit} bytes of body."))
        expectation = request.headers.get(hdrs.EXPECT, "").lower()
        if request.version >= (1, 1) and expectation == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # The interim answer is none: the final one must still be able to begin.
            request.writer.output_size = 0
            return None
        error = AppError("invalid", "Only 100-continue can be expected.")
        return self._refuse(request, error, 417)

    def _refuse(
        self, request: web.Request, error: AppError, status: int | None = None
    ) -> web.Response:
        request_id = request_id_of(request)
        response = problem_response(error, request_id, status=status)
        self._services.headers.complete(request, response, request_id)
        response.force_close()
        return response
