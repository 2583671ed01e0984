"""Baseline of bar 4: aiohttp, an asyncpg pool, one transaction for each comment.

`python -m benchmarks.baseline.comment_per_request PORT POSTGRES_URL SECRET`. The same tables and
the same work: token, body check, Markdown, language, permissions, idempotency record, stream event,
job row. It calls the same SQL function with one item, outside of an explicit transaction: one round
trip a comment, one commit. It tells no subscriber of what it wrote, which spares it work.
"""

from __future__ import annotations

import asyncio
import hashlib
import signal
import sys
import time
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
import uvloop
from aiohttp import web

from actors import content
from actors.access_token import verify
from actors.markdown import render
from ai.language import detect
from config.errors import AppError
from storage.comments import NewComment, write_comments
from storage.identity import country_of, new_id

POOL: Final = 16
_LANGUAGE_SAMPLE: Final = 2_000
_STATUS: Final = {"locked": 409, "conflict": 409, "not_found": 404, "unauthenticated": 401}


class _Body(msgspec.Struct, frozen=True):
    body_markdown: str
    parent_id: UUID | None = None


_decode: Final = msgspec.json.Decoder(_Body).decode
_hash_encoder: Final = msgspec.msgpack.Encoder()


class Comments:
    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], secret: str) -> None:
        self._pool = pool
        self._secret = secret

    async def create(self, request: web.Request) -> web.Response:
        received_ns = time.time_ns()
        try:
            token = request.headers["Authorization"].removeprefix("Bearer ")
            caller, _ = verify(token, self._secret, time.time())
            body = _decode(await request.read())
            post_id = UUID(request.match_info["post_id"])
        except (AppError, KeyError):
            return web.Response(status=401)
        except (msgspec.MsgspecError, ValueError):
            return web.Response(status=400)
        assert caller.account_id is not None
        markdown = body.body_markdown
        html = render(markdown)
        language = detect(markdown[:_LANGUAGE_SAMPLE])
        id = new_id(country_of(post_id))
        head, tail = content.comment_parts(id, post_id, caller, markdown, html, language)
        event_head, event_tail = content.comment_event_parts(head, tail, received_ns)
        parts = (post_id, body.parent_id, markdown)
        item = NewComment(
            id, caller.account_id, post_id, body.parent_id, markdown, html, language, event_head,
            event_tail, request.headers.get("Idempotency-Key"),
            hashlib.blake2b(_hash_encoder.encode(parts), digest_size=16).digest(),
        )  # fmt: skip
        async with self._pool.acquire() as connection:
            (row,) = await write_comments(connection, [item])
        if row.status != "created":
            return web.Response(status=_STATUS.get(row.status, 403))
        answer = content.joined_comment(head, tail, row.parent_id, row.depth)
        return web.Response(status=201, body=answer, content_type="application/json")


async def _serve(port: int, url: str, secret: str) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with asyncpg.create_pool(url, min_size=POOL, max_size=POOL) as pool:
        app = web.Application()
        app.router.add_post("/api/v1/posts/{post_id}/comments", Comments(pool, secret).create)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1_024, reuse_port=True).start()
        print("ready", flush=True)
        await ended.wait()
        await runner.cleanup()


def main() -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
