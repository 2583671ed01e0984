"""From a write to what is found, and what is never found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.search_world import SearchWorld, search_world

pytestmark = pytest.mark.integration


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[SearchWorld]:
    async with search_world(database_url, tmp_path) as world:
        yield world


async def test_a_new_post_and_its_comments_are_found_after_their_job(world: SearchWorld) -> None:
    content = world.content
    ana = await content.member("ana")
    post = await content.post(ana, title="Blocked account for students", body="Which **bank**?")
    comment = await content.comment(ana, post["id"], body="Mine took a fortnight.")
    assert await world.found("blocked account") == []
    assert await world.run_jobs() == 2
    assert await world.found("blocked acount") == [post["id"]]
    page = await world.page("fortnight")
    (item,) = page["items"]
    assert item["id"] == comment["id"]
    assert item["kind"] == "comment"
    assert item["title"] == "Blocked account for students"
    assert item["snippet_html"] == "Mine took a <mark>fortnight</mark>."
    assert item["url"] == f"/posts/{post['id']}/comments/{comment['id']}"
    assert page["facets"]["country"] == [{"value": "DE", "count": 1}]
    assert page["total"] == 1
