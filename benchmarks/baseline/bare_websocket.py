"""What an idle or returning socket costs at least: aiohttp's own WebSocket, which echoes.

`python -m benchmarks.baseline.bare_websocket PORT`. The same event loop, garbage collector and
options of the handshake as the gateway's; no protocol, no subscription, no timers.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop
from aiohttp import web

from serve_app.collector import relax_collector


async def _read(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False, autoping=True)
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


async def _serve(port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    app = web.Application()
    app.router.add_get("/connection/websocket", _read)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4_096).start()
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
