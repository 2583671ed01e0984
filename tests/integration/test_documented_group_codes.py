"""What is answered about groups, to whomever: its code stands in the document, and every documented
one happens."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import pytest

from serve_app.api.routing import ROUTES
from storage.accounts import suspend
from storage.groups import MAX_MEMBERSHIPS
from storage.identity import new_id
from tests.gateway_app import free_port
from tests.integration.people import Person, World, pool, world
from tests.integration.test_documented_codes import api, code_of, headers_of

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration

_C: Final = "/api/v1/communities/{community}"
BODIES: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("POST", "/api/v1/communities"): {"name": "Nurses in Leipzig"},
    ("PATCH", _C): {"rules": "Be kind."},
    ("POST", f"{_C}/transfer"): {"account_id": "{account_id}"},
    ("PUT", f"{_C}/members/{{account_id}}"): {"role": "moderator"},
    ("POST", f"{_C}/invitations"): {"handle": "{handle}"},
}
QUERIES: Final = {f"{_C}/members": "?role=banned"}
ROLES: Final = {"founder": "admin", "moder": "moderator", "author": "member", "banned": "banned"}
# visibility, joining, archived, and whom the request is about.
STATES: Final = {
    "open": ("public", "open", False, "author"),
    "asked": ("public", "request", False, "other"),
    "private": ("private", "invitation", False, "other"),
    "archived": ("public", "request", True, "other"),
    "own": ("public", "open", False, "founder"),
    "fresh": ("private", "invitation", False, "stranger"),
    "full": ("public", "request", False, "crowded"),
}
COMMON_STATES: Final = ("open", "asked", "private", "archived", "own", "unknown")
FURTHER_STATES: Final = {("PUT", f"{_C}/join-requests/{{account_id}}"): ("full",)}


class Scene:
    def __init__(self, world: World) -> None:
        self._world = world
        self.people: dict[str, Person] = {}

    async def prepare(self) -> None:
        for handle in (*ROLES, "other", "stranger", "suspended", "gone"):
            self.people[handle] = await self._world.register(handle)
        self._crowded = await self._world.register("crowded")
        await self._world.join_many(self._crowded, MAX_MEMBERSHIPS)
        await suspend(self._world.pool, "suspended")
        await self._world.pool.execute(
            "update account set status = 'deleted' where handle = 'gone'"
        )

    async def values(self, state: str) -> dict[str, str]:
        """A group of its own for each request that may change it. Where somebody stands outside,
        they have asked, and into a private one they were invited."""
        if state == "unknown":
            return {"community": "nowhere", "account_id": str(new_id(0)), "handle": "nobody"}
        visibility, joining, archived, about = STATES[state]
        slug = f"group-{new_id(0)}"
        id = await self._world.community(slug, visibility)
        pool, target = self._world.pool, (self.people | {"crowded": self._crowded})[about].id
        await pool.execute(
            "with made as (update community set joining = $2,"
            "     archived_at = case when $3 then now() end where id = $1)"
            " insert into membership (account_id, community_id, role)"
            " select a.id, $1, r.role from unnest($4::text[], $5::text[]) r (handle, role)"
            " join account a on a.handle = r.handle",
            id, joining, archived, list(ROLES), list(ROLES.values()),
        )  # fmt: skip
        if about in ("other", "crowded"):
            await self._outside(id, target, invited=visibility == "private")
        return {"community": slug, "account_id": str(target), "handle": about}

    async def _outside(self, id: UUID, target: UUID, *, invited: bool) -> None:
        if invited:
            await self._world.pool.execute(
                "insert into invitation (account_id, community_id, invited_by) values ($1, $2, $1)",
                target,
                id,
            )
        else:
            await self._world.pool.execute(
                "insert into join_request (account_id, community_id, message) values ($1, $2, '')",
                target,
                id,
            )


async def test_every_refusal_is_documented_and_every_documented_one_happens(world: World) -> None:
    scene = Scene(world)
    await scene.prepare()
    routes = [route for route in ROUTES if route.tag == "groups"]
    assert len(routes) > 15
    async with api(world, free_port()) as session:
        for route in routes:
            template = BODIES.get((route.method, route.path))
            query = QUERIES.get(route.path, "")
            seen = set()
            states: tuple[str, ...] = ("open",)
            if "{" in route.path:
                states = (*COMMON_STATES, *FURTHER_STATES.get((route.method, route.path), ()))
            for state in states:
                values: dict[str, str] = {}
                for person in (None, *scene.people.values()):
                    values = values or await scene.values(state)
                    body = template and {
                        name: value.format(**values) for name, value in template.items()
                    }
                    path = f"{route.path}{query}".format(**values)
                    headers = headers_of(person)
                    code = await code_of(session, route, path, headers=headers, json=body)
                    seen.add(code)
                    if code == "ok" and route.method != "GET":
                        values = {}  # it changed what it was asked about
            assert "ok" in seen, (route.method, route.path, seen)
            assert seen >= set(route.refusals), (route.method, route.path, seen)
