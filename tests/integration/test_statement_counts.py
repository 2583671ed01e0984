"""How often each route asks the database: a loop of queries shows here before it shows in the bill.

A new route gets a row in STATEMENTS, and in BODIES or QUERIES of test_documented_codes.py what it
has to be sent. BEGIN, COMMIT and the question for the WAL position count: they are round trips too.
"""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import aiohttp
import asyncpg
import pytest

from config.media import Objects
from serve_app.api import media
from serve_app.api.headers import POSITION
from serve_app.api.route import Route
from serve_app.api.routing import ROUTES
from tests.gateway_app import free_port
from tests.integration.content import content_on
from tests.integration.media_world import headers_of as member_headers
from tests.integration.media_world import media_world
from tests.integration.people import PASSWORD, World, pool, world
from tests.integration.test_documented_codes import (
    ASIDE,
    BODIES,
    FURTHER_STATES,
    QUERIES,
    Scene,
    api,
    headers_of,
)
from tests.media_files import picture

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration

STATEMENTS: Final[dict[str, int]] = {
    "POST /api/v1/auth/register": 7,
    "POST /api/v1/auth/login": 2,
    "POST /api/v1/auth/refresh": 2,
    "POST /api/v1/auth/logout": 5,
    "GET /api/v1/me": 1,
    "PATCH /api/v1/me": 4,
    "GET /api/v1/me/marks": 1,
    "POST /api/v1/preview": 0,
    "GET /api/v1/countries": 0,
    "GET /api/v1/visa-types": 0,
    "GET /api/v1/moderation/signals": 3,
    "GET /api/v1/posts/{post_id}/summary": 3,
    "GET /api/v1/posts/{post_id}/translation": 4,
    "GET /api/v1/comments/{comment_id}/translation": 4,
    "GET /api/v1/guides": 2,
    "GET /api/v1/guides/{guide_id}": 2,
    "GET /api/v1/guides/{guide_id}/history": 2,
    "GET /api/v1/communities": 2,
    "GET /api/v1/communities/{community}": 2,
    "PUT /api/v1/communities/{community}/membership": 6,
    "DELETE /api/v1/communities/{community}/membership": 6,
    "GET /api/v1/communities/{community}/feed": 3,
    "GET /api/v1/feeds/home": 5,
    "GET /api/v1/members/{handle}": 2,
    "GET /api/v1/members/{handle}/posts": 4,
    "POST /api/v1/posts": 2,
    "GET /api/v1/posts/{post_id}": 2,
    "PATCH /api/v1/posts/{post_id}": 10,
    "DELETE /api/v1/posts/{post_id}": 12,
    "GET /api/v1/posts/{post_id}/history": 2,
    "GET /api/v1/posts/{post_id}/comments": 3,
    "POST /api/v1/posts/{post_id}/comments": 2,
    "PATCH /api/v1/comments/{comment_id}": 11,
    "DELETE /api/v1/comments/{comment_id}": 14,
    "GET /api/v1/comments/{comment_id}/history": 3,
    "PUT /api/v1/posts/{post_id}/vote": 2,
    "PUT /api/v1/comments/{comment_id}/vote": 2,
    "GET /api/v1/me/drafts": 1,
    "POST /api/v1/me/drafts": 7,
    "GET /api/v1/me/drafts/{draft_id}": 1,
    "PUT /api/v1/me/drafts/{draft_id}": 6,
    "DELETE /api/v1/me/drafts/{draft_id}": 4,
    "GET /api/v1/me/saves": 1,
    "PUT /api/v1/posts/{post_id}/save": 5,
    "DELETE /api/v1/posts/{post_id}/save": 4,
    "PUT /api/v1/comments/{comment_id}/save": 5,
    "DELETE /api/v1/comments/{comment_id}/save": 4,
    "PUT /api/v1/posts/{post_id}/follow": 5,
    "DELETE /api/v1/posts/{post_id}/follow": 4,
    "PUT /api/v1/communities/{community}/follow": 5,
    "DELETE /api/v1/communities/{community}/follow": 5,
    "PUT /api/v1/posts/{post_id}/read": 7,
    "GET /api/v1/me/mutes/accounts": 1,
    "PUT /api/v1/me/mutes/accounts/{account}": 6,
    "DELETE /api/v1/me/mutes/accounts/{account}": 5,
    "GET /api/v1/me/mutes/communities": 1,
    "PUT /api/v1/me/mutes/communities/{community}": 5,
    "DELETE /api/v1/me/mutes/communities/{community}": 5,
    "GET /api/v1/notifications": 2,
    "PUT /api/v1/notifications/read": 5,
    "GET /api/v1/realtime/token": 2,
    "POST /api/v1/me/export": 5,
    "GET /api/v1/comments/{comment_id}": 4,
    "PUT /api/v1/posts/{post_id}/poll/vote": 8,
    "POST /api/v1/posts/{post_id}/move": 17,
    "PUT /api/v1/posts/{post_id}/accepted": 11,
    "DELETE /api/v1/posts/{post_id}/accepted": 6,
    "PUT /api/v1/posts/{post_id}/poll": 13,
    "GET /api/v1/posts/{post_id}/poll": 2,
    "POST /api/v1/comments/{comment_id}/restore": 8,
    "GET /api/v1/communities/{community}/tags": 3,
    "GET /api/v1/search": 1,  # one more where anything is found
    "GET /api/v1/search/suggest": 1,  # as well
    "GET /api/v1/posts/similar": 3,  # one more where anything is found
    "POST /api/v1/posts/{post_id}/restore": 6,
    "GET /api/v1/checklists": 2,
    "GET /api/v1/checklists/{checklist_id}": 3,
    "GET /api/v1/me/checklists": 1,
    "GET /api/v1/me/checklists/{checklist_id}": 2,
    "PUT /api/v1/me/checklists/{checklist_id}/items/{item_id}": 7,
    "GET /api/v1/official-links": 2,
    "POST /api/v1/timelines": 7,
    "GET /api/v1/timelines": 2,
    "GET /api/v1/timelines/consulates": 0,
    "GET /api/v1/timelines/statistics": 2,
    "GET /api/v1/timelines/statistics.csv": 2,
    "GET /api/v1/timelines/{timeline_id}": 2,
    "PATCH /api/v1/timelines/{timeline_id}": 7,
    "DELETE /api/v1/timelines/{timeline_id}": 5,
    "GET /api/v1/timelines/{timeline_id}/history": 2,
    "GET /api/v1/timelines/{timeline_id}/position": 2,
    "POST /api/v1/posts/{post_id}/merge": 27,
}
STATEMENTS_OF_FILES: Final[dict[str, int]] = {
    "POST /api/v1/media": 6,
    "PUT /api/v1/media/{media_id}/content": 0,
    "POST /api/v1/media/{media_id}/complete": 2,
    "GET /api/v1/media/{media_id}": 1,
    "GET /api/v1/media/{media_id}/thumbnails/{size}": 1,
}

# With tables of their own: here, test_group_statement_counts.py, test_documented_answers.py.
_ELSEWHERE: Final = ("media", "groups", "assistant")
_RESET: Final = "SELECT pg_advisory_unlock_all()"
statements: list[str] = []


def _note(record: asyncpg.connection.LoggedQuery) -> None:
    if not record.query.startswith(_RESET):  # of the pool, when a connection comes back
        statements.append(" ".join(record.query.split())[:100])


async def _listen(connection: Any) -> None:
    connection.add_query_logger(_note)


@pytest.fixture(autouse=True)
def listening(monkeypatch: pytest.MonkeyPatch) -> None:
    create_pool: Any = asyncpg.create_pool
    monkeypatch.setattr(asyncpg, "create_pool", partial(create_pool, init=_listen))


async def _body(world: World, route: Route[Any, Any], values: dict[str, str], handle: str) -> Any:
    if route.tag == "auth":
        person = await world.register(handle)
        new = {"handle": f"{handle}_", "email": f"{handle}_@example.org", "password": PASSWORD}
        token = {"refresh_token": person.refresh_token}
        known = {"login": handle, "password": PASSWORD}
        bodies = {"register": new, "login": known, "refresh": token, "logout": token}
        return bodies[route.path.rpartition("/")[2]]
    template = BODIES.get((route.method, route.path))
    return template and {
        name: value.format(**values) if isinstance(value, str) else value
        for name, value in template.items()
    }


class Asking:
    """Each route is asked by whom it lets, about content in a state that it takes."""

    def __init__(self, world: World, scene: Scene, session: aiohttp.ClientSession) -> None:
        self._world = world
        self._scene = scene
        self._session = session
        self._numbers = itertools.count()

    async def of(self, route: Route[Any, Any]) -> list[str]:
        """Of the second success: the first one fills caches and prepares statements."""
        await self._scene.enrol()
        states = ("open", "deleted", *FURTHER_STATES.get((route.method, route.path), ()))
        refused = []
        for state, who in itertools.product(states, ("author", "moderator_", "other")):
            for _ in range(2):
                refusal = await self._ask(route, state, who)
            if refusal is None:
                return statements.copy()
            refused.append((state, who, refusal))
        raise AssertionError((route.method, route.path, refused))

    async def _ask(self, route: Route[Any, Any], state: str, who: str) -> str | None:
        """Why not."""
        values = await self._scene.path_values(state)
        body = await _body(self._world, route, values, f"number_{next(self._numbers)}")
        path = f"{route.path}{QUERIES.get(route.path, '')}".format(**values)
        person = self._scene.callers[who] if route.tag != "auth" else None
        headers = headers_of(person)
        statements.clear()
        async with self._session.request(route.method, path, json=body, headers=headers) as answer:
            if answer.status != route.status:
                return await answer.text()
            # What asked the database nothing has written nothing.
            is_told = POSITION in answer.headers or route.tag == "auth" or not statements
            assert is_told or route.method == "GET", f"{route.method} {route.path}: no {POSITION}"
            return None


def check(said: dict[str, list[str]], rows: dict[str, int]) -> None:
    counted = {name: len(asked) for name, asked in said.items()}
    for name in counted.keys() | rows.keys():
        if counted.get(name) != rows.get(name):
            print(f'"{name}": {counted.get(name)},', *said.get(name, ()), sep="\n    ")
    assert counted == rows, "the rows that changed are printed above"


async def test_every_route_asks_the_database_as_often_as_its_row_says(world: World) -> None:
    """Sockets, probes and what is for operators have no rate class and no row, nor has what stands
    ASIDE or _ELSEWHERE. A write says how far the log has come, or a replica could hide it from its
    author."""
    scene = Scene(world)
    await scene.prepare()
    said: dict[str, list[str]] = {}
    async with api(world, free_port()) as session:
        asking = Asking(world, scene, session)
        for route in ROUTES:
            aside = (route.method, route.path) in ASIDE or route.tag in _ELSEWHERE
            # Pages for robots and feed readers are made of reads that other routes make.
            if route.rate not in (None, "connect") and not aside and not route.hidden:
                said[f"{route.method} {route.path}"] = await asking.of(route)
    check(said, STATEMENTS)


async def test_files_ask_the_database_as_often_as_their_rows_say(
    database_url: str, tmp_path: Path
) -> None:
    store = Objects(url=(tmp_path / "objects").as_uri())
    said: dict[str, list[str]] = {}
    async with content_on(database_url) as content, media_world(content, store) as files:
        ana = await content.member("ana")
        ready = await files.upload(ana, picture(400, 400, "PNG"), "image/png")
        body = {"file_name": "x", "size_bytes": 10, "content_type": "image/png"}
        for route in media.ROUTES:
            for _ in range(2):
                media_id = ready["id"]
                sent: dict[str, Any] = {"json": body} if route.takes_body else {}
                if route.takes_file:
                    ticket = await files.announce(ana, b"x" * 10)
                    media_id, query = ticket["id"], ticket["upload"]["url"].partition("?")[2]
                    sent = {"data": b"x" * 10, "params": dict(parse_qsl(query))}
                path = route.path.format(media_id=media_id, size=320)
                headers = member_headers(ana)
                statements.clear()
                async with files.session.request(
                    route.method, path, headers=headers, **sent
                ) as answer:
                    assert answer.status == route.status, (path, await answer.text())
                    await answer.read()
            said[f"{route.method} {route.path}"] = statements.copy()
    check(said, STATEMENTS_OF_FILES)
