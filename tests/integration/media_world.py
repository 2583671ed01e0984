"""Members who upload files through a real gateway, into a folder or a bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import pytest

from actors.access_token import sign, verify
from actors.accounts import Accounts
from actors.media.jobs import MediaJobs
from actors.media.library import Library
from actors.media.messages import MediaRequest
from actors.messages import Caller, Failure, Reply
from actors.passwords import Passwords
from config.edge import Gateway
from config.media import Media
from config.media import Objects as ObjectSettings
from config.settings import Auth, Settings
from serve_app.gateway.server import GatewayServer, build_app
from storage.attachments import check
from storage.identity import new_id
from storage.objects import Objects
from storage.postgres import Pool
from tests.gateway_app import FakeBackends, FakeLimiter, FakeRealtime, free_port
from tests.integration.content import Content, content_on

SECRET = "the secret of the tests of files"
NOW = 1_800_000_000.0


@dataclass
class MediaWorld:
    content: Content
    objects: Objects
    settings: Settings
    session: aiohttp.ClientSession
    backends: FakeBackends

    @property
    def pool(self) -> Pool:
        return self.content.pool

    def jobs(self) -> MediaJobs:
        return MediaJobs(self.pool, self.settings)

    async def announce(
        self, caller: Caller, data: bytes, content_type: str = "image/jpeg", name: str = "a.jpg"
    ) -> dict[str, Any]:
        body = {"file_name": name, "size_bytes": len(data), "content_type": content_type}
        status, ticket = await self.call("POST", "/api/v1/media", caller, json=body)
        assert status == 201, ticket
        return ticket

    async def send(self, ticket: dict[str, Any], data: bytes) -> int:
        upload = ticket["upload"]
        async with self.session.request(
            upload["method"], upload["url"], data=data, headers=upload["headers"]
        ) as response:
            await response.read()
            return response.status

    async def upload(
        self, caller: Caller, data: bytes, content_type: str = "image/jpeg", name: str = "a.jpg"
    ) -> dict[str, Any]:
        """Announced, sent, completed and processed: its state then."""
        ticket = await self.announce(caller, data, content_type, name)
        assert await self.send(ticket, data) in (200, 204)
        status, state = await self.complete(caller, ticket["id"])
        assert (status, state["status"]) == (202, "processing")
        await self.work()
        status, state = await self.complete(caller, ticket["id"])
        assert status == 200
        return state

    async def complete(self, caller: Caller, media_id: str) -> tuple[int, dict[str, Any]]:
        return await self.call("POST", f"/api/v1/media/{media_id}/complete", caller)

    async def work(self) -> None:
        """Every job of files that waits, twice: it must not matter."""
        jobs = await self.pool.fetch("delete from pgqueuer where entrypoint = 'media' returning *")
        for job in jobs:
            await self.jobs().process(job["payload"])
            await self.jobs().process(job["payload"])

    async def call(
        self, method: str, path: str, caller: Caller | None, **sent: Any
    ) -> tuple[int, dict[str, Any]]:
        headers = headers_of(caller)
        async with self.session.request(method, path, headers=headers, **sent) as response:
            return response.status, msgspec.json.decode(await response.read())

    async def get(
        self, path: str, caller: Caller | None = None, **headers: str
    ) -> tuple[int, bytes, Any]:
        """As of now, not of what a gateway remembers."""
        sent = {"Serai-Position": "f" * 16, **headers_of(caller), **headers}
        async with self.session.get(path, headers=sent) as response:
            return response.status, await response.read(), response.headers

    async def keys(self) -> set[str]:
        """Of every object, by the kind that their path begins with."""
        found = set()
        tomorrow = timedelta(days=-1)
        for prefix in ("upload/", "original/", "thumbnail/"):
            async for key in self.objects.older_than(prefix, tomorrow):
                found.add(key)
        return found

    async def age(self, media_id: str, hours: int = 25) -> None:
        await self.pool.execute(
            "update media set unattached_since = unattached_since - make_interval(hours => $2)"
            " where id = $1",
            UUID(media_id),
            hours,
        )


def headers_of(caller: Caller | None) -> dict[str, str]:
    if caller is None:
        return {}
    logged_in = msgspec.structs.replace(caller, session_id=new_id(0))
    return {"Authorization": f"Bearer {sign(logged_in, SECRET, NOW, 900)}"}


@asynccontextmanager
async def media_world(
    content: Content, store: ObjectSettings, **media: Any
) -> AsyncIterator[MediaWorld]:
    objects = Objects.open(store)
    settings = Settings(
        gateway=Gateway(port=free_port()),
        auth=Auth(secret=SECRET),
        objects=store,
        media=Media(**media),
    )
    library = Library(content.pool, objects, settings.media, SECRET)
    accounts = Accounts(
        content.pool,
        settings.auth,
        SECRET,
        lambda publications: None,
        passwords=Passwords(memory_kib=8, passes=1),
        library=library,
        clock=lambda: NOW,
    )
    backends = FakeBackends()

    async def answer(request: Any) -> Reply:
        if isinstance(request, MediaRequest):
            (outcome,) = await accounts.handle_batch([request])
        else:
            (outcome,) = await content.ask(request)
        if isinstance(outcome, Failure):
            raise outcome.error()
        return outcome

    give: Callable[[Any], Awaitable[Reply]] = answer
    backends.answer = give
    app = build_app(
        settings,
        backends,
        FakeRealtime(),
        FakeLimiter(),
        lambda token: verify(token, SECRET, NOW),
        objects=objects,
    )
    server = GatewayServer(app, settings)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
            yield MediaWorld(content, objects, settings, session, backends)
    finally:
        await server.stop()
        accounts.close()


@pytest.fixture
async def folder(database_url: str, tmp_path: Path) -> AsyncIterator[MediaWorld]:
    """Small limits, and no bucket."""
    store = ObjectSettings(url=(tmp_path / "objects").as_uri())
    limits = {"max_file_bytes": 100_000, "bytes_per_day": 150_000}
    async with content_on(database_url) as content, media_world(content, store, **limits) as world:
        yield world


def link(media: dict[str, Any]) -> str:
    return f"![photo](/media/{media['id']})"


async def check_all(world: MediaWorld) -> None:
    """As if a day had passed for every attachment that is to be looked at."""
    await world.pool.execute(
        "update media_attachment set check_at = now() - interval '1 s' where check_at is not null"
    )
    await check(world.pool, 100)
