"""The directory: countries, visa types, lists of communities, one community."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.feed import Feed
from actors.feed_messages import ListCommunities, ListCountries, ListVisaTypes, ReadCommunity
from actors.messages import GUEST, Caller, Failure, Reply
from storage.directory import Directory
from storage.seed import seed
from tests.integration.feed_world import World, world


@pytest.fixture
async def here(database_url: str) -> AsyncIterator[World]:
    async with world(database_url) as made:
        async with made.pool.acquire() as connection:
            await seed(connection)
        yield made


@pytest.fixture
def feed(here: World) -> Feed:
    return Feed(here.pool, Directory(here.pool))


async def ask(feed: Feed, request: Any) -> tuple[Any, bool]:
    [outcome] = await feed.handle_batch([request])
    assert isinstance(outcome, Reply), outcome
    return json.loads(outcome.body), outcome.public


async def code(feed: Feed, request: Any) -> str:
    [outcome] = await feed.handle_batch([request])
    assert isinstance(outcome, Failure)
    return outcome.code


def listing(
    *,
    caller: Caller = GUEST,
    country: str | None = None,
    visa_type: str | None = None,
    q: str | None = None,
    joined: bool = False,
    limit: int = 100,
    cursor: str | None = None,
) -> ListCommunities:
    return ListCommunities(caller, country, visa_type, q, joined, limit, cursor)


async def slugs(feed: Feed, request: ListCommunities) -> list[str]:
    page, _ = await ask(feed, request)
    return [item["slug"] for item in page["items"]]


async def test_countries_and_visa_types_are_the_same_for_everyone(feed: Feed) -> None:
    page, public = await ask(feed, ListCountries())
    assert public
    [germany] = [item for item in page["items"] if item["code"] == "DE"]
    assert (germany["name"], germany["community"]) == ("Germany", "de")
    every, public = await ask(feed, ListVisaTypes(None))
    german, _ = await ask(feed, ListVisaTypes("DE"))
    assert public
    assert {item["country"] for item in german["items"]} == {"DE"}
    assert len(german["items"]) == germany["visa_type_count"] < len(every["items"])
    assert (await ask(feed, ListVisaTypes("AQ")))[0]["items"] == []
    assert await code(feed, ListVisaTypes("ZZ")) == "invalid"


async def test_pages_hold_every_community_once(here: World, feed: Feed) -> None:
    found: list[str] = []
    cursor = None
    while True:
        page, public = await ask(feed, listing(limit=97, cursor=cursor))
        assert public
        found += [item["slug"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    rows = await here.pool.fetch("select slug from community")
    assert found == sorted(found)
    assert sorted(found) == sorted(row["slug"] for row in rows)


async def test_filters(here: World, feed: Feed) -> None:
    await here.community("odd", name="100% _Real_ \\ Talk")
    german = await slugs(feed, listing(country="DE"))
    assert german[0] == "de"
    assert all(slug == "de" or slug.startswith("de-") for slug in german)
    assert await slugs(feed, listing(country="DE", visa_type="student")) == ["de-student"]
    assert await slugs(feed, listing(q="GERMANY: STUDENT VISA (")) == ["de-student"]
    assert await slugs(feed, listing(q="de-student-app")) == ["de-student-applicant"]
    for text in ("0% _r", "_", "\\ ", "%"):
        assert await slugs(feed, listing(q=text)) == ["odd"]
    assert await slugs(feed, listing(q="e%y")) == []
    assert await code(feed, listing(country="ZZ")) == "invalid"
    assert await code(feed, listing(q="a\0b")) == "invalid"
    assert await code(feed, listing(visa_type="\0")) == "invalid"


async def test_a_cursor_belongs_to_its_listing(feed: Feed) -> None:
    page, _ = await ask(feed, listing(country="DE", limit=1))
    assert await code(feed, listing(limit=1, cursor=page["next_cursor"])) == "invalid"


async def test_joined_ones_are_the_callers_own_private_ones_included(
    here: World, feed: Feed
) -> None:
    ada = await here.account("ada")
    secret = await here.community("secret", private=True)
    await here.community("other-secret", private=True)
    banned = await here.community("banned")
    await here.join(ada, secret)
    await here.join(ada, banned, "banned")
    page, public = await ask(feed, listing(caller=ada, joined=True))
    assert [item["slug"] for item in page["items"]] == ["secret"]
    assert not public
    assert await slugs(feed, listing(caller=ada, q="secret")) == []
    assert await code(feed, listing(joined=True)) == "unauthenticated"


async def test_one_community(here: World, feed: Feed) -> None:
    page, public = await ask(feed, ReadCommunity(GUEST, "de-student"))
    assert public
    assert (page["country"], page["visa_type"], page["kind"]) == ("DE", "student", "visa")
    assert page["stream"]["channel"] == f"community:{page['id']}"
    again, _ = await ask(feed, ReadCommunity(GUEST, page["id"]))
    assert again == page
    ada = await here.account("ada")
    secret = await here.community("secret", private=True)
    assert await code(feed, ReadCommunity(ada, "secret")) == "not_found"
    await here.join(ada, secret)
    page, public = await ask(feed, ReadCommunity(ada, str(secret)))
    assert (page["visibility"], page["country"], public) == ("private", None, False)
    for text in ("nowhere", "\0", "", str(ada.account_id)):
        assert await code(feed, ReadCommunity(GUEST, text)) == "not_found"
