"""Whatever the real actors answer to whomever about whatever: its code stands in the document."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiohttp
import pytest

from actors.access_token import sign, verify
from actors.feed import Feed
from actors.messages import Caller, Failure, Reply
from actors.people_messages import PeopleRequest
from actors.public_messages import PublicRead
from actors.search import Search
from actors.search_messages import SearchRequest
from actors.signed_link import signed_link
from actors.thread import Thread
from config.edge import Gateway
from config.settings import Auth, Settings
from serve_app.api.route import Route
from serve_app.api.routing import ROUTES
from serve_app.gateway.server import GatewayServer, build_app
from storage.accounts import suspend
from storage.directory import Directory
from storage.edits import MAX_PINNED
from storage.groups import MAX_MEMBERSHIPS
from storage.identity import new_id
from storage.memberships import ban
from storage.mutes import MAX_MUTES
from storage.objects import export_key, objects_of
from tests.gateway_app import FakeBackends, FakeLimiter, FakeRealtime, free_port, problem_of
from tests.integration.content import RecordingPublisher
from tests.integration.people import NOW, PASSWORD, SECRET, Person, World, pool, world
from tests.integration.search_world import search_actor

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration

BODIES: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("POST", "/api/v1/posts"): {"community_id": "{community}", "title": "One", "body_markdown": ""},
    ("PATCH", "/api/v1/posts/{post_id}"): {"pinned": True},
    ("POST", "/api/v1/preview"): {"body_markdown": "*x*"},
    ("PUT", "/api/v1/posts/{post_id}/accepted"): {"comment_id": "{comment_id}"},
    ("POST", "/api/v1/posts/{post_id}/move"): {"community_id": "elsewhere"},
    ("POST", "/api/v1/posts/{post_id}/merge"): {"into": "{other_post_id}"},
    ("PUT", "/api/v1/posts/{post_id}/poll"): {"options": ["A", "B"]},
    ("PUT", "/api/v1/posts/{post_id}/poll/vote"): {"options": [0]},
    ("POST", "/api/v1/posts/{post_id}/comments"): {"body_markdown": "x"},
    ("PATCH", "/api/v1/comments/{comment_id}"): {"body_markdown": "y"},
    ("PUT", "/api/v1/posts/{post_id}/vote"): {"value": 1},
    ("PUT", "/api/v1/comments/{comment_id}/vote"): {"value": 1},
    ("PUT", "/api/v1/notifications/read"): {"up_to": str(new_id(0))},
    ("PATCH", "/api/v1/me"): {"display_name": "A name"},
    ("POST", "/api/v1/me/drafts"): {"kind": "edit", "post_id": "{post_id}", "body_markdown": ""},
    ("PUT", "/api/v1/me/drafts/{draft_id}"): {"revision": 1, "body_markdown": "x"},
    ("PUT", "/api/v1/posts/{post_id}/follow"): {"level": "all"},
    ("PUT", "/api/v1/communities/{community}/follow"): {"level": "all"},
    ("PUT", "/api/v1/posts/{post_id}/read"): {"comment_id": "{comment_id}"},
    ("POST", "/api/v1/timelines"): {
        "country": "DE", "visa_type": "student", "consulate": "Mumbai",
        "events": [{"kind": "application_submitted", "date": "2026-03-01"}],
    },
    ("PATCH", "/api/v1/timelines/{timeline_id}"): {"consulate": "Accra", "revision": 1},
    ("PUT", "/api/v1/me/checklists/{checklist_id}/items/{item_id}"): {"done": True},
}  # fmt: skip
# What ends its caller, or is opened by what only an answer has: asked in a test of its own.
ASIDE: Final = {
    ("DELETE", "/api/v1/me"),
    ("GET", "/api/v1/erasures/{job_id}"),
    ("GET", "/api/v1/exports/{job_id}"),
    ("GET", "/api/v1/me/export"),
    # In test_translations.py: what they answer hangs on the server's model.
    ("POST", "/api/v1/posts/{post_id}/translation"),
    ("POST", "/api/v1/comments/{comment_id}/translation"),
}
QUERIES: Final = {
    "/api/v1/me/marks": f"?ids={new_id(0)}",
    "/api/v1/communities": "?joined=true",
    # Another page for each request, or the edge cache would answer.
    "/api/v1/guides": "?visa_type={guide_id}",
    "/api/v1/checklists": "?visa_type={guide_id}",
    "/api/v1/official-links": "?visa_type={guide_id}",
    "/api/v1/realtime/token": "?channel=thread:{post_id}",
    "/api/v1/timelines": "?country=DE&consulate={post_id}",
    "/api/v1/timelines/consulates": "?country=DE&visa_type=student",
    "/api/v1/timelines/statistics": "?country=DE&consulate={post_id}",
    "/api/v1/timelines/statistics.csv": "?country=DE&consulate={post_id}",
    "/api/v1/search/suggest": "?q=title",
    "/api/v1/moderation/signals": "?community={community}",
    "/api/v1/posts/{post_id}/translation": "?to=de",
    "/api/v1/comments/{comment_id}/translation": "?to=de",
    "/api/v1/posts/similar": "?title=title&community_id={community}",
}


class RealBackends(FakeBackends):
    """Every request goes to its own actor."""

    def __init__(self, world: World, search: Search) -> None:
        super().__init__()
        directory = Directory(world.pool)
        thread = Thread(world.pool, directory, RecordingPublisher())
        feed = Feed(world.pool, directory)

        async def answer(request: Any) -> Reply:
            if isinstance(request, PeopleRequest):
                (outcome,) = await world.accounts.handle_batch([request])
            elif isinstance(request, PublicRead):
                (outcome,) = await feed.handle_batch([request])
            elif isinstance(request, SearchRequest):
                (outcome,) = await search.handle_batch([request])
            else:
                (outcome,) = await thread.handle_batch([request])
            if isinstance(outcome, Failure):
                raise outcome.error()
            return outcome

        self.answer: Callable[[Any], Awaitable[Reply]] = answer


@asynccontextmanager
async def api(
    world: World, port: int, *, data_dir: str = ".data"
) -> AsyncIterator[aiohttp.ClientSession]:
    settings = Settings(data_dir=data_dir, gateway=Gateway(port=port), auth=Auth(secret=SECRET))

    def verify_token(token: str) -> tuple[Caller, float]:
        return verify(token, SECRET, NOW)

    with tempfile.TemporaryDirectory() as directory:
        async with search_actor(world.pool, Path(directory)) as (search, _):
            app = build_app(
                settings,
                RealBackends(world, search),
                FakeRealtime(),
                FakeLimiter(),
                verify_token,
                objects=objects_of(settings),
            )
            server = GatewayServer(app, settings)
            await server.start()
            try:
                async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
                    yield session
            finally:
                await server.stop()


async def code_of(
    session: aiohttp.ClientSession, route: Route[Any, Any], path: str = "", **sent: Any
) -> str:
    async with session.request(route.method, path or route.path, **sent) as response:
        if response.status < 400:
            return "ok"
        code: str = (await problem_of(response))["code"]
    assert code in route.codes, (route.method, route.path, code)
    assert code != "internal", (route.method, route.path)
    return code


class Scene:
    """Members of every standing, and content in every state."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.callers: dict[str, Person | None] = {"guest": None}
        self._filled = False

    async def prepare(self) -> None:
        world = self._world
        self._ids = {
            "open": await world.community("open"),
            "closed": await world.community("closed", "private"),
            "archived": await world.community("archived"),
            "elsewhere": await world.community("elsewhere"),
        }
        await world.pool.execute(
            "insert into country (id, alpha2, alpha3, name) values (276, 'DE', 'DEU', 'Germany')"
            " on conflict do nothing"
        )
        for handle in ("author", "other", "banned", "suspended", "gone", "moderator_", "founder"):
            self.callers[handle] = await world.register(handle)
        for community in ("open", "closed", "archived"):
            await ban(world.pool, "banned", community)
        await suspend(world.pool, "suspended")
        await world.pool.execute("update account set status = 'deleted' where handle = 'gone'")
        for table, column in (("account_mute", "muted_id"), ("community_mute", "community_id")):
            await world.pool.execute(
                f"insert into {table} (account_id, {column}) select a.id, gen_random_uuid()"
                " from account a, generate_series(1, $1) where a.handle = 'moderator_'",
                MAX_MUTES,
            )
        await world.pool.execute("update community set archived_at = now() where slug = 'archived'")

    async def enrol(self) -> None:
        """Once more for each route: one of them lets everybody leave."""
        await self._world.pool.execute(
            "insert into membership (account_id, community_id, role)"
            " select a.id, c.id, r.role"
            " from unnest($1::text[], $2::text[]) r (handle, role)"
            " join account a on a.handle = r.handle"
            " join community c on c.slug in ('open', 'closed', 'archived')"
            "   or c.slug = 'elsewhere' and r.role = 'moderator'"
            " on conflict (account_id, community_id) do update set role = excluded.role",
            ["author", "founder", "moderator_"],
            ["member", "admin", "moderator"],
        )

    async def path_values(self, state: str) -> dict[str, str]:
        """Content of its own for each request that may change it."""
        if state == "full" and not self._filled:
            outsider = self.callers["other"]
            assert outsider is not None
            await self._world.join_many(outsider, MAX_MEMBERSHIPS)
            self._filled = True
        if state == "unknown":
            id = str(new_id(276))
            values = {"community": "nowhere", "post_id": id, "comment_id": id}
            other = {"draft_id": id, "account": "nobody_here", "other_post_id": str(new_id(276))}
            other["handle"] = "nobody_here"
            visa = {"timeline_id": id, "checklist_id": "none", "item_id": "i1"}
            return values | other | {"guide_id": id} | visa
        author = self.callers["author"]
        assert author is not None
        slugs = {"private": "closed", "archived": "archived", "full": "elsewhere"}
        slug = slugs.get(state, "open")
        post_id = await self._world.post(self._ids[slug], author)
        comment_id = await self._comment(post_id, author)
        if state == "locked":
            await self._world.pool.execute("update post set locked = true where id = $1", post_id)
        if state == "deleted":
            for table, deleted in (("post", post_id), ("comment", comment_id)):
                await self._world.pool.execute(
                    f"update {table} set deleted_at = now() where id = $1", deleted
                )
        if state == "moved":
            await self._world.pool.execute(
                "update post set deleted_at = now(), moved_to = $2 where id = $1",
                post_id,
                new_id(276),
            )
        if state == "crowded":
            for _ in range(MAX_PINNED):
                pinned = await self._world.post(self._ids[slug], author)
                await self._world.pool.execute(
                    "update post set pinned = true where id = $1", pinned
                )
        if state in ("asked", "closed"):
            await self._ask_poll(post_id, closed=state == "closed")
        draft_id = await self._world.pool.fetchval(
            "insert into draft (account_id, id, kind, title, body_markdown, revision)"
            " values ($1, gen_random_uuid(), 'post', '', '', $2) returning id",
            author.id,
            2 if state == "locked" else 1,
        )
        other_post_id = await self._world.post(self._ids[slug], author)
        values = {"community": slug, "post_id": str(post_id), "comment_id": str(comment_id)}
        other = {"draft_id": str(draft_id), "account": "other", "handle": "author"}
        visa = {
            "timeline_id": await self._timeline(author, state),
            "checklist_id": await self._checklist(),
            "item_id": "i1",
        }
        guide_id = await self._guide()
        await self._derived(post_id, comment_id)
        other |= {"other_post_id": str(other_post_id), "guide_id": str(guide_id)}
        return values | other | visa

    async def _checklist(self) -> str:
        """Another one for each request, or the edge cache would answer."""
        id = f"c-{new_id(276)}"
        item = '[{"id": "i1", "text": "A passport", "source_url": "https://example.org/"}]'
        await self._world.pool.execute(
            "insert into checklist (id, country_id, visa_type, language, title, items)"
            " values ($1, 276, 'student', 'en', 'What to do', $2)",
            id,
            item,
        )
        return id

    async def _timeline(self, author: Person, state: str) -> str:
        """Changed on another device where content is locked, decided where it is archived."""
        id = new_id(276)
        await self._world.pool.execute(
            "insert into timeline (country_id, id, account_id, visa_type, consulate, consulate_key,"
            " events, status, submitted_on, ended_on, revision) values (276, $1, $2, 'student',"
            " 'Lagos', 'lagos',"
            ' \'[{"kind": "application_submitted", "date": "2026-01-01"}]\', $3,'
            " '2026-01-01', case when $3 <> 'pending' then date '2026-03-01' end, $4)",
            id,
            author.id,
            "approved" if state == "archived" else "pending",
            2 if state == "locked" else 1,
        )
        return str(id)

    async def _ask_poll(self, post_id: UUID, *, closed: bool) -> None:
        """A closed one has votes, and its post is no longer young."""
        await self._world.pool.execute(
            "insert into poll (post_id, question, options, votes, voters, multiple, closes_at)"
            " values ($1, '', '{A,C}', '{1,0}', $2, false,"
            " case when $2 > 0 then now() - interval '1 hour' end)",
            post_id,
            int(closed),
        )
        await self._world.pool.execute(
            "update post set has_poll = true, created_at = now() - interval '2 hours'"
            " where id = $1",
            post_id,
        )

    async def _derived(self, post_id: UUID, comment_id: UUID) -> None:
        await self._world.pool.execute(
            "insert into thread_summary (post_id, comment_count, mode, model, language, sentences,"
            " source_ids) values ($1, 10, 'extractive', '', 'en', '[]', '{}')",
            post_id,
        )
        await self._world.pool.execute(
            "insert into translation (target_id, language, revision, state)"
            " select id, 'de', 1, 'ready' from unnest($1::uuid[]) id",
            [post_id, comment_id],
        )

    async def _guide(self) -> UUID:
        id = new_id(276)
        await self._world.pool.execute(
            "insert into guide (id, country_id, reference, language, title, body_markdown,"
            " body_html, authority, source_url, as_of, last_checked)"
            " values ($1::uuid, 276, $1::uuid::text, 'en', '', '', '', '', '', now(), now())",
            id,
        )
        return id

    async def _comment(self, post_id: UUID, author: Person) -> UUID:
        id = new_id(276)
        await self._world.pool.execute(
            "insert into comment (country_id, id, post_id, depth, author_id, body_markdown,"
            " body_html, language, created_at) values (276, $1, $2, 0, $3, '', '', 'en', now())",
            id,
            post_id,
            author.id,
        )
        return id


def headers_of(person: Person | None) -> dict[str, str]:
    if person is None:
        return {}
    return {"Authorization": f"Bearer {sign(person.caller, SECRET, NOW, 900)}"}


STATES: Final = ("open", "private", "deleted", "locked", "archived", "unknown")
FURTHER_STATES: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("PUT", "/api/v1/communities/{community}/membership"): ("full",),
    ("PATCH", "/api/v1/posts/{post_id}"): ("crowded",),
    ("POST", "/api/v1/posts/{post_id}/restore"): ("moved",),
    ("POST", "/api/v1/posts/{post_id}/move"): ("moved",),
    ("POST", "/api/v1/posts/{post_id}/merge"): ("asked",),
    ("GET", "/api/v1/posts/{post_id}/poll"): ("asked",),
    ("PUT", "/api/v1/posts/{post_id}/poll"): ("closed",),
    ("PUT", "/api/v1/posts/{post_id}/poll/vote"): ("asked", "closed"),
}
# They have scenes of their own: test_documented_group_codes.py, test_media_refusals.py,
# test_documented_answers.py.
ELSEWHERE: Final = ("auth", "groups", "media", "assistant")


async def test_every_refusal_of_content_is_documented_and_every_documented_one_happens(
    world: World,
) -> None:
    scene = Scene(world)
    await scene.prepare()
    routes = [
        route
        for route in ROUTES
        if route.rate is not None
        and not route.hidden
        and route.tag not in ELSEWHERE
        and (route.method, route.path) not in ASIDE
    ]
    assert len(routes) > 20
    async with api(world, free_port()) as session:
        for route in routes:
            await scene.enrol()
            template = BODIES.get((route.method, route.path))
            seen = set()
            query = QUERIES.get(route.path, "")
            varies = "{" in f"{route.path}{template}{query}"
            further = FURTHER_STATES.get((route.method, route.path), ())
            for state in (*STATES, *further) if varies else STATES[:1]:
                values: dict[str, str] = {}
                for person in scene.callers.values():
                    values = values or await scene.path_values(state)
                    body = template and {
                        name: value.format(**values) if isinstance(value, str) else value
                        for name, value in template.items()
                    }
                    path = f"{route.path}{query}".format(**values)
                    headers = headers_of(person)
                    code = await code_of(session, route, path, headers=headers, json=body)
                    seen.add(code)
                    if code == "ok" and route.method != "GET":
                        values = {}  # it changed what it was asked about
            assert "ok" in seen, (route.method, route.path, seen)
            assert seen >= set(route.refusals), (route.method, route.path, seen)


async def test_every_refusal_about_ones_own_data_is_documented(
    world: World, tmp_path: Path
) -> None:
    routes = {(route.method, route.path): route for route in ROUTES}
    assert routes.keys() >= ASIDE
    mina, noor = await world.register("mina"), await world.register("noor")
    await suspend(world.pool, "noor")
    end = routes["DELETE", "/api/v1/me"]
    export = routes["GET", "/api/v1/me/export"]
    async with api(world, free_port(), data_dir=str(tmp_path)) as session:

        async def asked(route: Route[Any, Any], person: Person | None, **sent: Any) -> str:
            return await code_of(session, route, headers=headers_of(person), **sent)

        assert await asked(export, mina) == "not_found"
        assert await asked(export, noor) == "suspended"
        assert await asked(export, None) == "unauthenticated"
        assert await asked(routes["POST", "/api/v1/me/export"], mina) == "ok"
        assert await asked(export, mina) == "ok"

        await world.pool.execute("update account_task set finished_at = now()")
        async with session.get("/api/v1/me/export", headers=headers_of(mina)) as response:
            path = (await response.json())["download_url"].partition("?")[0]
        link = signed_link(SECRET, path, int(time.time()) + 900)  # by this gateway's clock
        download = routes["GET", "/api/v1/exports/{job_id}"]
        assert await code_of(session, download, link) == "not_found"
        key = export_key(UUID(path.rpartition("/")[2]))
        objects = objects_of(Settings(data_dir=str(tmp_path)))
        await objects.put(key, b"PK", "application/zip")
        assert await code_of(session, download, link) == "ok"
        assert await code_of(session, download, f"{link[:-1]}!") == "not_permitted"

        wrong, right = {"password": "wrong"}, {"password": PASSWORD}
        assert await asked(end, None, json=right) == "unauthenticated"
        assert await asked(end, mina, json=wrong) == "invalid_credentials"
        async with session.delete("/api/v1/me", headers=headers_of(mina), json=right) as response:
            assert response.status == 202
            job_id = (await response.json())["job_id"]
        assert await asked(export, mina) == "unauthenticated"
        erasure = routes["GET", "/api/v1/erasures/{job_id}"]
        assert await code_of(session, erasure, f"/api/v1/erasures/{job_id}") == "ok"
        assert await code_of(session, erasure, f"/api/v1/erasures/{new_id(0)}") == "not_found"


async def test_every_refusal_of_sign_in_is_documented_and_every_documented_one_happens(
    world: World,
) -> None:
    await world.register("mina")
    noor = await world.register("noor")
    await suspend(world.pool, "noor")
    mine = {"handle": "mina", "email": "new@example.org", "password": PASSWORD}
    expired = sign(noor.caller, SECRET, NOW - 1_000, 900)
    port = free_port()
    stranger = {"Origin": "https://elsewhere.example", "Cookie": f"serai_refresh_{port}=x"}
    asked: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "register": [
            ("conflict", {"json": mine}),
            ("invalid", {"json": {**mine, "handle": "admin"}}),
            ("unsupported_media_type", {"data": "x"}),
        ],
        "login": [
            ("ok", {"json": {"login": "mina", "password": PASSWORD}}),
            ("invalid_credentials", {"json": {"login": "mina", "password": "wrong"}}),
            ("suspended", {"json": {"login": "noor", "password": PASSWORD}}),
        ],
        "refresh": [
            ("unauthenticated", {}),
            ("unauthenticated", {"json": {"refresh_token": "x"}}),
            ("suspended", {"json": {"refresh_token": noor.refresh_token}}),
            ("not_permitted", {"headers": stranger}),
        ],
        "logout": [
            ("unauthenticated", {}),
            ("token_expired", {"headers": {"Authorization": f"Bearer {expired}"}}),
            ("not_permitted", {"headers": stranger}),
        ],
    }
    routes = {route.path.rpartition("/")[2]: route for route in ROUTES if route.tag == "auth"}
    assert set(routes) == set(asked)
    async with api(world, port) as session:
        for name, requests in asked.items():
            for code, sent in requests:
                assert await code_of(session, routes[name], **sent) == code, (name, sent)
            assert {code for code, _ in requests} >= set(routes[name].refusals), name
