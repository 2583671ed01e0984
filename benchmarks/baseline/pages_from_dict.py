"""Baseline of bar 5: aiohttp that answers given bytes from a dict.

`python -m benchmarks.baseline.pages_from_dict PORT`. PUT sets what GET of the same path and query
answers. It does nothing else: no token, no limits, no headers but the necessary ones.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop
from aiohttp import web

from serve_app.collector import relax_collector


class Pages:
    def __init__(self) -> None:
        self._pages: dict[str, bytes] = {}

    async def get(self, request: web.Request) -> web.Response:
        page = self._pages.get(request.raw_path)
        if page is None:
            return web.Response(status=404)
        return web.Response(body=page, content_type="application/json")

    async def put(self, request: web.Request) -> web.Response:
        self._pages[request.raw_path] = await request.read()
        return web.Response(status=204)


async def _serve(port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    pages = Pages()
    app = web.Application()
    app.router.add_get("/{path:.*}", pages.get)
    app.router.add_put("/{path:.*}", pages.put)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1_024).start()
    relax_collector()  # as in a gateway replica
    print("ready", flush=True)
    await ended.wait()
    await runner.cleanup()


def main() -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
