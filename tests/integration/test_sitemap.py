"""Which communities, guides and posts search engines are told of."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.feed import Feed
from actors.feed_messages import ListSitemap
from actors.messages import Failure, Reply
from storage.directory import Directory
from storage.guides import guide_id
from storage.seed import seed
from tests.integration.content import Content, content_on


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as made:
        async with made.pool.acquire() as connection:
            await seed(connection)
        yield made


async def part(content: Content, name: str) -> list[list[Any]]:
    feed = Feed(content.pool, Directory(content.pool))
    [outcome] = await feed.handle_batch([ListSitemap(name)])
    assert isinstance(outcome, Reply), outcome
    found: list[list[Any]] = json.loads(outcome.body)
    return found


async def test_only_public_and_standing_content_is_listed(content: Content) -> None:
    assert await part(content, "") == [["communities", None]]
    ana = await content.member("ana")
    shown = await content.post(ana)
    gone = await content.post(ana)
    hidden = await content.post(ana, "de")
    async with content.pool.acquire() as connection:
        await connection.execute("update post set deleted_at = now() where id = $1", gone["id"])
        await connection.execute("update community set visibility = 'private' where slug = 'de'")
    assert await part(content, "") == [["communities", None], ["DE", None]]
    [[id, changed_at]] = await part(content, "DE")
    assert (id, changed_at) == (shown["id"], shown["created_at"])
    assert hidden["id"] != id
    slugs = [name for name, _ in await part(content, "communities")]
    assert "de-student" in slugs and "de" not in slugs
    assert await part(content, "groups") == []


async def test_guides_are_listed_until_they_are_withdrawn(content: Content) -> None:
    for reference in ("shown", "withdrawn"):
        await content.pool.execute(
            "insert into guide (id, country_id, reference, language, title, body_markdown,"
            " body_html, authority, source_url, as_of, last_checked, withdrawn_at)"
            " values ($1, 276, $2, 'en', '', '', '', '', '', '2026-11-01', '2026-11-01',"
            " case $2 when 'withdrawn' then now() end)",
            guide_id(276, reference), reference,
        )  # fmt: skip
    assert await part(content, "") == [["communities", None], ["guides", None]]
    [[id, changed_at]] = await part(content, "guides")
    assert id == str(guide_id(276, "shown")) and changed_at


async def test_an_unknown_part_is_not_found(content: Content) -> None:
    feed = Feed(content.pool, Directory(content.pool))
    [outcome] = await feed.handle_batch([ListSitemap("XX")])
    assert isinstance(outcome, Failure) and outcome.code == "not_found"
