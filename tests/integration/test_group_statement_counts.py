"""How often each route of groups asks the database, as test_statement_counts.py has it of the
others: BEGIN, COMMIT and the question for the WAL position count."""

from __future__ import annotations

from typing import Final

import pytest

from serve_app.api.headers import POSITION
from serve_app.api.routing import ROUTES
from tests.gateway_app import free_port
from tests.integration.people import World, pool, world
from tests.integration.test_documented_codes import api, headers_of
from tests.integration.test_documented_group_codes import BODIES, QUERIES, Scene
from tests.integration.test_statement_counts import check, listening, statements

__all__ = ["listening", "pool", "world"]

pytestmark = pytest.mark.integration

_C: Final = "/api/v1/communities/{community}"
STATEMENTS: Final[dict[str, int]] = {
    "POST /api/v1/communities": 13,
    "GET /api/v1/communities/{community}/join-requests": 4,
    "DELETE /api/v1/communities/{community}/join-request": 7,
    "POST /api/v1/communities/{community}/invitations": 20,
    "PUT /api/v1/communities/{community}/join-request": 17,
    "GET /api/v1/communities/{community}/invitations": 4,
    "PUT /api/v1/communities/{community}/join-requests/{account_id}": 22,
    "DELETE /api/v1/communities/{community}/bans/{account_id}": 12,
    "PATCH /api/v1/communities/{community}": 15,
    "GET /api/v1/communities/{community}/members": 4,
    "GET /api/v1/me/invitations": 1,
    "DELETE /api/v1/communities/{community}/members/{account_id}": 16,
    "GET /api/v1/communities/{community}/log": 4,
    "DELETE /api/v1/communities/{community}/invitations/{account_id}": 13,
    "POST /api/v1/communities/{community}/transfer": 17,
    "DELETE /api/v1/me/invitations/{community}": 6,
    "PUT /api/v1/communities/{community}/members/{account_id}": 15,
    "PUT /api/v1/communities/{community}/bans/{account_id}": 18,
    "DELETE /api/v1/communities/{community}/join-requests/{account_id}": 14,
}
# Who asks, and about what, where it is not an owner about a member of an open group.
STATES: Final = {
    f"POST {_C}/invitations": ("founder", "fresh"),
    "GET /api/v1/me/invitations": ("other", "private"),
    "DELETE /api/v1/me/invitations/{community}": ("other", "private"),
    f"PUT {_C}/join-request": ("stranger", "asked"),
    f"PUT {_C}/join-requests/{{account_id}}": ("founder", "asked"),
    f"DELETE {_C}/join-requests/{{account_id}}": ("founder", "asked"),
}


async def test_every_route_asks_the_database_as_often_as_its_row_says(world: World) -> None:
    scene = Scene(world)
    await scene.prepare()
    said: dict[str, list[str]] = {}
    async with api(world, free_port()) as session:
        for route in (route for route in ROUTES if route.tag == "groups"):
            name = f"{route.method} {route.path}"
            handle, state = STATES.get(name, ("founder", "open"))
            for _ in range(2):  # the first one prepares statements
                values = await scene.values(state)
                template = BODIES.get((route.method, route.path))
                body = template and {
                    field: value.format(**values) for field, value in template.items()
                }
                path = f"{route.path}{QUERIES.get(route.path, '')}".format(**values)
                headers = headers_of(scene.people[handle])
                statements.clear()
                async with session.request(
                    route.method, path, json=body, headers=headers
                ) as response:
                    assert response.status == route.status, (path, await response.text())
                    assert route.method == "GET" or POSITION in response.headers, name
                said[name] = statements.copy()
    check(said, STATEMENTS)
