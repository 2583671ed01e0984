"""What `/` shows. Until the frontend exists, it leads to the API page."""

from __future__ import annotations

from aiohttp import web

from serve_app.api.call import Call
from serve_app.api.route import Nothing, Route


async def front_page(call: Call[Nothing, Nothing]) -> web.Response:
    return web.Response(status=302, headers={"Location": "/api/docs"})


ROUTES = (Route("GET", "/", front_page, "Front page", access="open", hidden=True),)
