"""Every refusal of the routes of files is in the document, and every documented one happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.messages import Caller
from config.media import Objects as ObjectSettings
from serve_app.api.media import ROUTES
from storage.identity import new_id
from tests import media_files as files
from tests.integration.content import content_on
from tests.integration.media_world import MediaWorld, headers_of, media_world

pytestmark = pytest.mark.integration

BODY: dict[str, Any] = {"file_name": "x", "size_bytes": 5_000, "content_type": "image/png"}


async def codes_of(world: MediaWorld, index: int, callers: list[Caller | None]) -> set[str]:
    """What one route answers to everybody about files in every state."""
    route = ROUTES[index]
    amina = callers[1]
    assert amina is not None
    ready = await world.upload(amina, files.picture(60, 40, "PNG"), "image/png")
    ticket = await world.announce(amina, b"x" * 10)
    address = ticket["upload"]["url"].partition("?")[2]
    bodies = [BODY, {**BODY, "size_bytes": 99_999_999}, {**BODY, "content_type": "text/html"}, {}]
    seen = set()
    for media_id in (ready["id"], ticket["id"], str(new_id(0)), "none"):
        path = route.path.format(media_id=media_id, size=320)
        for caller in callers:
            for sent in (
                [{"json": body} for body in bodies]
                if route.takes_body
                else [{"data": b"x" * 10, "params": query} for query in ({}, _query(address))]
                if route.takes_file
                else [{}]
            ):
                headers = headers_of(caller)
                async with world.session.request(
                    route.method, path, headers=headers, **sent
                ) as response:
                    body = await response.read()
                    if response.status < 400:
                        seen.add("ok")
                        continue
                problem = msgspec.json.decode(body)
                assert problem["code"] in route.codes, (route.method, path, problem)
                assert problem["code"] != "internal"
                seen.add(problem["code"])
    return seen


def _query(address: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in address.split("&"))


@pytest.mark.parametrize("index", range(len(ROUTES)))
async def test_refusals_of_files(database_url: str, tmp_path: Path, index: int) -> None:
    store = ObjectSettings(url=(tmp_path / "objects").as_uri())
    async with content_on(database_url) as content, media_world(content, store) as world:
        people = [await content.member(handle) for handle in ("amina", "bo", "out", "gone")]
        await content.pool.execute(
            "update account set status = case handle when 'out' then 'suspended' else 'deleted' end"
            " where handle in ('out', 'gone')"
        )
        seen = await codes_of(world, index, [None, *people])
        assert "ok" in seen
        assert seen >= set(ROUTES[index].refusals), seen
