"""A steady load of keyed comments on one thread with two SDK subscribers, and what must hold of it
whatever dies: nothing acknowledged is missing, nothing is there twice, nobody saw a gap."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import aiohttp
import asyncpg

from tests.e2e.api_client import Answer, ApiClient
from tests.e2e.js_client import JsClient
from tests.e2e.python_client import Following, PythonClient
from tests.e2e.server import RunningServer

WRITERS: Final = 6
# A replaced replica takes seconds on an idle machine.
PATIENCE_SECONDS: Final = 120.0
_PAUSE_SECONDS: Final = 0.1
# What a client may meet while something is down, and what it does: try again with the same key.
AGAIN: Final = frozenset({429, 503})
_BROKEN = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)


class SteadyLoad:
    """`acknowledged` maps each acknowledged key to the comment's id; `met` counts what answers and
    failures there were."""

    def __init__(self, server: RunningServer, author: ApiClient, post_id: str) -> None:
        self.server = server
        self.author = author
        self.post_id = post_id
        self.channel = f"thread:{post_id}"
        self.acknowledged: dict[str, str] = {}
        self.met: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.python: PythonClient
        self.js: JsClient
        self.following: Following
        self._acknowledgement = asyncio.Event()
        self._stopping = asyncio.Event()

    async def _write(self) -> None:
        path = f"/posts/{self.post_id}/comments"
        while not self._stopping.is_set():
            key = secrets.token_hex(8)
            # Also after the end is asked for: what began is brought to its end.
            async with asyncio.timeout(PATIENCE_SECONDS):
                while key not in self.acknowledged:
                    answer = await self._try("POST", path, {"body_markdown": key}, key)
                    if answer is None:
                        continue
                    if answer.status != 201:
                        self.wrong.append(f"POST {path}: {answer.status} {answer.body!r}")
                        return
                    self.acknowledged[key] = answer.json["id"]
                    self._acknowledgement.set()

    async def _read(self) -> None:
        """Every deployment is asked all the time; pages may be refused but never be wrong."""
        paths = (
            f"/posts/{self.post_id}/comments?sort=new&limit=5",
            "/communities/de/feed?sort=new&limit=5",
            "/me",
            "/communities/de",
        )
        number = 0
        while not self._stopping.is_set():
            path = paths[number % len(paths)]
            number += 1
            answer = await self._try("GET", path)
            if answer is not None and answer.status != 200:
                self.wrong.append(f"GET {path}: {answer.status} {answer.body!r}")

    async def _try(
        self, method: str, path: str, body: object = None, key: str | None = None
    ) -> Answer | None:
        """None: to be tried again, after a pause."""
        try:
            answer = await self.author.call(method, path, body, key=key)
        except _BROKEN as error:
            self.met[type(error).__name__] += 1
        else:
            self.met[f"{method} {answer.status}"] += 1
            if answer.status not in AGAIN:
                return answer
            if answer.status == 503 and "Retry-After" not in answer.headers:
                self.wrong.append(f"{method} {path}: 503 without Retry-After {answer.body!r}")
        await asyncio.sleep(_PAUSE_SECONDS)
        return None

    async def wait_more(self, count: int = 40) -> None:
        """Until so many more comments are acknowledged than now."""
        wanted = len(self.acknowledged) + count
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.acknowledged) < wanted and not self.wrong:
                self._acknowledgement.clear()
                await self._acknowledgement.wait()
        assert not self.wrong, self.wrong

    def stop(self) -> None:
        self._stopping.set()

    async def check(self) -> None:
        """Call it when the load has ended."""
        assert not self.wrong, self.wrong
        rows = await self._comments()
        by_key = {row["body_markdown"]: str(row["id"]) for row in rows}
        assert len(by_key) == len(rows), "a comment is there twice"
        missing = self.acknowledged.items() - by_key.items()
        assert not missing, f"acknowledged and not there: {missing}"
        events = await self._events()
        top = len(rows)
        assert [offset for offset, _ in events] == list(range(1, top + 1))
        assert sorted(id for _, id in events) == sorted(by_key.values())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.following.wait_offset(top)
            await self.js.wait_for_event(
                "publication", PATIENCE_SECONDS, channel=self.channel, offset=top
            )
        for seen in (
            [(offset, data) for offset, data in self.following.publications if offset],
            [
                (each["offset"], each["data"])
                for each in self.js.publications(self.channel)
                if each["offset"]
            ],
        ):
            assert [(offset, data["comment"]["id"]) for offset, data in seen] == events
        assert self.following.unsubscribed == []
        assert self.python.events.disconnected == []
        lost = [e for e in self.js.events if e["event"] == "subscribed" and e["was_recovering"]]
        # The first one subscribed from the page's position, which is a recovery as well.
        assert lost and all(event["recovered"] for event in lost), lost

    async def _comments(self) -> list[asyncpg.Record]:
        return await self._fetch(
            "select id, body_markdown from comment where post_id = $1", self.post_id
        )

    async def _events(self) -> list[tuple[int, str]]:
        rows = await self._fetch(
            "select e.off, e.subject_id from stream_event e join stream s on s.id = e.stream_id"
            " where s.channel = $1 order by e.off",
            self.channel,
        )
        return [(row["off"], str(row["subject_id"])) for row in rows]

    async def _fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.server.database_url)
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Subscribed and under load; at the end of the block the load is brought to its end and
        everything is checked."""
        async with AsyncExitStack() as stack:
            url = self.server.ws_url
            self.python = await stack.enter_async_context(PythonClient(url, self.author.token))
            self.js = await stack.enter_async_context(JsClient(url))
            self.following = await self.python.follow(self.channel)
            stream = (await self.author.comments(self.post_id))["stream"]
            await self.js.subscribe(self.channel, since=stream)
            tasks = [asyncio.create_task(self._write()) for _ in range(WRITERS)]
            tasks.append(asyncio.create_task(self._read()))
            try:
                await self.wait_more(20)
                yield
                await self.wait_more(20)
            finally:
                self.stop()
                done = await asyncio.gather(*tasks, return_exceptions=True)
            assert done == [None] * len(tasks), done
            await self.check()


@asynccontextmanager
async def steady_load(server: RunningServer) -> AsyncIterator[SteadyLoad]:
    """On a post of its own."""
    async with ApiClient(server.url) as author:
        await author.register()
        post = await author.post()
        load = SteadyLoad(server, author, post["id"])
        async with load.running():
            yield load
