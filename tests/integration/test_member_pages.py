"""What everybody sees of a member: who it is, and what stands of it in public."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from actors.feed import Feed
from actors.feed_messages import ListMemberPosts, ReadMember
from actors.messages import Failure, Reply
from actors.public_messages import PublicRead
from storage.directory import Directory
from tests.integration.feed_world import World, world

GERMANY, JAPAN = 276, 392


@pytest.fixture
async def here(database_url: str) -> AsyncIterator[World]:
    async with world(database_url) as made:
        yield made


async def ask(here: World, request: PublicRead) -> Any:
    """The body, or the code of the refusal."""
    (outcome,) = await Feed(here.pool, Directory(here.pool)).handle_batch([request])
    if isinstance(outcome, Failure):
        return outcome.code
    assert isinstance(outcome, Reply)
    return msgspec.json.decode(outcome.body)


async def test_posts_in_public_communities_newest_first_page_by_page(here: World) -> None:
    ada, ben = await here.account("ada"), await here.account("ben")
    de, jp = await here.community("de", GERMANY), await here.community("jp", JAPAN)
    secret = await here.community("secret", GERMANY, private=True)
    await here.join(ada, secret)
    shown = [
        await here.post(place, ada, age_days=age)
        for age, place in ((1, jp), (2, de), (4, de), (5, jp), (6, de))
    ]
    await here.post(secret, ada, age_days=3)
    await here.post(de, ben, age_days=3)
    removed = await here.post(jp, ada, age_days=3)
    await here.pool.execute("update post set deleted_at = now() where id = $1", removed)

    found: list[str] = []
    cursor = None
    for size in (2, 2, 1):
        page = await ask(here, ListMemberPosts("ada", 2, cursor))
        assert len(page["items"]) == size
        assert {post["author"]["handle"] for post in page["items"]} == {"ada"}
        found += [post["id"] for post in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert found == [str(id) for id in shown]

    foreign = (await ask(here, ListMemberPosts("ada", 2, None)))["next_cursor"]
    assert await ask(here, ListMemberPosts("ben", 2, foreign)) == "invalid"
    await here.pool.execute("update community set visibility = 'private' where id = $1", jp)
    page = await ask(here, ListMemberPosts("ada", 30, None))
    assert [post["id"] for post in page["items"]] == [str(shown[n]) for n in (1, 2, 4)]


async def test_a_member_is_a_name_and_a_month(here: World) -> None:
    ada = await here.account("ada")
    await here.pool.execute(
        "update account set email = 'ada@mail.example', created_at = '2026-03-31T23:30:00Z'"
    )
    assert await ask(here, ReadMember("Ada")) == {
        "id": str(ada.account_id),
        "handle": "ada",
        "display_name": "ADA",
        "joined": "2026-03",
    }


async def test_who_is_not_there_or_not_to_be_seen_is_not_found(here: World) -> None:
    for status in ("suspended", "deleted"):
        await here.account(status, status=status)
    await here.account("returned", status="suspended")
    await here.pool.execute(
        "update account set suspended_until = now() - interval '1 day' where handle = 'returned'"
    )
    for handle in ("suspended", "deleted", "nobody", "x", "a\0b", "ad'a"):
        assert await ask(here, ReadMember(handle)) == "not_found"
        assert await ask(here, ListMemberPosts(handle, 30, None)) == "not_found"
    assert (await ask(here, ListMemberPosts("returned", 30, None)))["items"] == []
