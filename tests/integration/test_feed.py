"""The Feed actor on a real database: order, paging, permissions, plans."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from actors.feed import Feed
from actors.feed_cursors import home_cursor
from actors.feed_messages import FeedRequest, FeedSort, FeedWindow, ReadFeed, ReadHome
from actors.home_merge import Carried
from actors.messages import GUEST, Caller, Failure, Outcome, Reply
from storage import feed_keys, feeds, home_feed
from storage.directory import Directory
from tests.integration.feed_world import NOW_MS, World, world

GERMANY = 276
CHAD = 148


@pytest.fixture
async def here(database_url: str) -> AsyncIterator[World]:
    async with world(database_url) as made:
        yield made


@pytest.fixture
def feed(here: World) -> Feed:
    return Feed(here.pool, Directory(here.pool), clock_ms=lambda: NOW_MS)


def body(outcome: Outcome) -> Any:
    assert isinstance(outcome, Reply), outcome
    return json.loads(outcome.body)


async def walk(
    feed: Feed,
    community: str | None,
    sort: FeedSort,
    limit: int,
    *,
    caller: Caller = GUEST,
    window: FeedWindow = "all",
) -> list[UUID]:
    """The ids of all pages; None: of home."""
    found: list[UUID] = []
    cursor: str | None = None
    while True:
        request: ReadFeed | ReadHome
        if community is None:
            request = ReadHome(caller, sort, window, limit, cursor)
        else:
            request = ReadFeed(caller, community, sort, window, limit, cursor)
        page = body((await feed.handle_batch([request]))[0])
        found += [UUID(item["id"]) for item in page["items"]]
        assert len(page["items"]) <= limit
        cursor = page["next_cursor"]
        if cursor is None:
            return found
        assert len(page["items"]) == limit


async def standing(here: World, order: str, where: str = "true") -> list[UUID]:
    rows = await here.pool.fetch(
        f"select id from post where deleted_at is null and {where} order by {order}"
    )
    return [row["id"] for row in rows]


async def fill(here: World, community: UUID, author: Caller, count: int) -> None:
    """Ties in score and in age on purpose; every seventh is pinned, every fifth deleted."""
    for n in range(count):
        await here.post(
            community, author, up=n % 4, age_days=float(n % 9), pinned=n % 7 == 0
        )  # fmt: skip
    await here.pool.execute(
        "update post set deleted_at = now() where id in ("
        " select id from (select id, row_number() over (order by id) n from post) p"
        " where n % 5 = 0)"
    )


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("hot", "pinned desc, hot desc, id desc"),
        ("new", "id desc"),
        ("top", "score desc, id desc"),
    ],
)
async def test_pages_of_a_community_hold_every_post_once_in_order(
    here: World, feed: Feed, sort: FeedSort, order: str, limit: int
) -> None:
    ada = await here.account("ada")
    community = await here.community("de-chat", GERMANY)
    await fill(here, community, ada, 32)
    await here.post(await here.community("other", GERMANY), ada)
    expected = await standing(here, order, f"community_id = '{community}'")
    assert await walk(feed, "de-chat", sort, limit) == expected
    assert await walk(feed, str(community), sort, limit) == expected


@pytest.mark.parametrize(
    ("sort", "order"),
    [("hot", "hot desc, id desc"), ("new", "id desc"), ("top", "score desc, id desc")],
)
async def test_home_merges_what_was_joined_and_shows_guests_all_public_ones(
    here: World, feed: Feed, sort: FeedSort, order: str
) -> None:
    ada, ben = await here.account("ada"), await here.account("ben")
    joined = [await here.community("de-a", GERMANY), await here.community("td-b", CHAD)]
    public = await here.community("c")
    private = await here.community("p", private=True)
    banned = await here.community("b")
    for community in (*joined, public, private, banned):
        await fill(here, community, ada, 12)
        if community not in (public, banned):
            await here.join(ada, community)
    await here.join(ada, banned, "banned")
    own = await standing(here, order, f"community_id not in ('{public}', '{banned}')")
    everything = await standing(here, order, f"community_id <> '{private}'")
    for caller, expected in ((ada, own), (GUEST, everything), (ben, everything)):
        for limit in (3, 100):
            found = await walk(feed, None, sort, limit, caller=caller)
            assert len(found) == len(expected)
            assert set(found) == set(expected)
    assert await walk(feed, None, sort, 100, caller=ada) == own, "all on one page: as they rank"


async def test_home_mixes_communities_and_authors_and_loses_nothing(
    here: World, feed: Feed
) -> None:
    loud, other = await here.account("loud"), await here.account("other")
    reader = await here.account("reader")
    big, small = await here.community("big", GERMANY), await here.community("small", CHAD)
    for community in (big, small):
        await here.join(reader, community)
    many = [await here.post(big, loud, age_days=0.01 * n) for n in range(40)]
    few = [await here.post(small, other, age_days=1 + n) for n in range(4)]
    page = body((await feed.handle_batch([ReadHome(reader, "new", "all", 10, None)]))[0])
    shown = [UUID(item["id"]) for item in page["items"]]
    # Three of each author at first; nobody else has anything, so the best of what is left follow.
    assert shown == [*many[:7], *few[:3]]
    for caller in (reader, GUEST):
        found = await walk(feed, None, "new", 10, caller=caller)
        assert sorted(found) == sorted([*many, *few])


async def test_home_leaves_out_whom_and_what_the_member_muted(here: World, feed: Feed) -> None:
    ada, ben, reader = [await here.account(name) for name in ("ada", "ben", "reader")]
    one, two = await here.community("one", GERMANY), await here.community("two")
    shown = await here.post(one, ada)
    muted = await here.post(one, ben)
    elsewhere = await here.post(two, ada)
    await here.pool.execute(
        "insert into account_mute (account_id, muted_id) values ($1, $2)",
        reader.account_id,
        ben.account_id,
    )
    await here.pool.execute(
        "insert into community_mute (account_id, community_id) values ($1, $2)",
        reader.account_id,
        two,
    )
    for sort in ("hot", "new", "top"):
        assert await walk(feed, None, sort, 5, caller=reader) == [shown]
        for community in (one, two):
            await here.join(reader, community)
        assert await walk(feed, None, sort, 5, caller=reader) == [shown]
        assert set(await walk(feed, None, sort, 5)) == {shown, muted, elsewhere}
        await here.pool.execute("delete from membership")
        request = ReadFeed(reader, "one", sort, "all", 5, None, personal=True)
        [reply] = await feed.handle_batch([request])
        assert isinstance(reply, Reply) and not reply.public
        assert [item["id"] for item in body(reply)["items"]] == [str(shown)]


@pytest.mark.parametrize("sort", ["hot", "new", "top"])
async def test_feeds_keep_to_the_languages_asked_for(
    here: World, feed: Feed, sort: FeedSort
) -> None:
    ada = await here.account("ada")
    community = await here.community("c", GERMANY)
    by_language = {}
    for language in ("en", "de", "pt", "pt-BR", "zh-Hant"):
        by_language[language] = post = await here.post(community, ada)
        await here.pool.execute("update post set language = $2 where id = $1", post, language)
    cases: list[tuple[tuple[str, ...], set[str]]] = [
        (("de",), {"de"}),
        (("PT",), {"pt", "pt-BR"}),
        (("pt-br", "en"), {"pt-BR", "en"}),
        (("pt-PT", "zh"), {"zh-Hant"}),
    ]
    for languages, expected in cases:
        requests: list[FeedRequest] = [
            ReadFeed(GUEST, "c", sort, "all", 10, None, languages),
            ReadHome(GUEST, sort, "all", 10, None, languages),
            ReadHome(ada, sort, "all", 10, None, languages),
        ]
        for outcome in await feed.handle_batch(requests):
            assert {item["language"] for item in body(outcome)["items"]} == expected
    first = body(
        (await feed.handle_batch([ReadFeed(GUEST, "c", sort, "all", 1, None, ("pt",))]))[0]
    )
    request = ReadFeed(GUEST, "c", sort, "all", 1, first["next_cursor"], ("PT",))
    second = body((await feed.handle_batch([request]))[0])
    seen = [item["id"] for page in (first, second) for item in page["items"]]
    assert set(seen) == {str(by_language["pt"]), str(by_language["pt-BR"])}
    request = ReadFeed(GUEST, "c", sort, "all", 1, first["next_cursor"], ("de",))
    [refused] = await feed.handle_batch([request])
    assert isinstance(refused, Failure) and refused.code == "invalid"


@pytest.mark.parametrize(
    ("sort", "rank"), [("top", 1e300), ("top", float("nan")), ("hot", float("nan"))]
)
async def test_forged_home_cursors_are_refused(feed: Feed, sort: FeedSort, rank: float) -> None:
    carried = Carried((rank, feed_keys.HIGHEST_ID))
    scope = f"None:{sort}:all" if sort == "top" else f"None:{sort}"
    cursor = home_cursor(scope, carried, feed_keys.LOWEST_ID)
    [outcome] = await feed.handle_batch([ReadHome(GUEST, sort, "all", 5, cursor)])
    assert isinstance(outcome, Failure) and outcome.code == "invalid"


async def test_a_forged_home_cursor_shows_nothing_private(here: World, feed: Feed) -> None:
    ada, ben = await here.account("ada"), await here.account("ben")
    secret = await here.community("secret", private=True)
    hidden = await here.post(secret, ada)
    await here.join(ben, await here.community("open"))
    carried = Carried((0.0, feed_keys.LOWEST_ID), ((secret, 0.0, feed_keys.HIGHEST_ID),), (hidden,))
    for caller in (GUEST, ben):
        scope = f"{caller.account_id}:new"
        cursor = home_cursor(scope, carried, feed_keys.LOWEST_ID)
        [outcome] = await feed.handle_batch([ReadHome(caller, "new", "all", 5, cursor)])
        assert body(outcome) == {"items": [], "next_cursor": None}


async def test_a_post_that_stands_still_is_neither_skipped_nor_repeated(
    here: World, feed: Feed
) -> None:
    ada = await here.account("ada")
    community = await here.community("c")
    posts = [await here.post(community, ada, up=10 - n) for n in range(10)]
    first = body((await feed.handle_batch([ReadFeed(GUEST, "c", "hot", "all", 4, None)]))[0])
    newcomer = await here.post(community, ada, up=1_000)
    await here.pool.execute("update post set deleted_at = now() where id = $1", posts[3])
    rest = body(
        (await feed.handle_batch([ReadFeed(GUEST, "c", "hot", "all", 100, first["next_cursor"])]))[
            0
        ]
    )
    seen = [UUID(item["id"]) for item in first["items"] + rest["items"]]
    assert sorted(seen) == sorted(posts)
    assert newcomer not in seen


async def test_top_keeps_to_its_window_and_later_pages_to_that_of_the_first(here: World) -> None:
    now = NOW_MS
    feed = Feed(here.pool, Directory(here.pool), clock_ms=lambda: now)
    ada = await here.account("ada")
    community = await here.community("c")
    old = await here.post(community, ada, up=9, age_days=40)
    month = await here.post(community, ada, up=1, age_days=20)
    week = await here.post(community, ada, up=2, age_days=6.9)
    day = await here.post(community, ada, up=3, age_days=0.9)
    assert await walk(feed, "c", "top", 1, window="day") == [day]
    assert await walk(feed, "c", "top", 1, window="week") == [day, week]
    assert await walk(feed, None, "top", 1, window="month") == [day, week, month]
    assert await walk(feed, "c", "top", 1, window="all") == [old, day, week, month]
    request = ReadFeed(GUEST, "c", "top", "week", 1, None)
    first = body((await feed.handle_batch([request]))[0])
    now += 5 * 86_400_000
    request = ReadFeed(GUEST, "c", "top", "week", 1, first["next_cursor"])
    second = body((await feed.handle_batch([request]))[0])
    assert [item["id"] for item in second["items"]] == [str(week)]


async def test_a_page_says_where_its_stream_stands(here: World, feed: Feed) -> None:
    community = await here.community("c")
    await here.pool.execute(
        "update stream set top_offset = 7 where channel = $1", f"community:{community}"
    )
    before = await here.pool.fetchval("select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint")
    epoch = await here.pool.fetchval("select epoch from incarnation")
    [reply] = await feed.handle_batch([ReadFeed(GUEST, "c", "new", "all", 10, None)])
    assert isinstance(reply, Reply)
    assert (reply.status, reply.public, reply.channel) == (200, True, f"community:{community}")
    assert reply.position >= before
    assert body(reply) == {
        "items": [],
        "next_cursor": None,
        "stream": {"channel": f"community:{community}", "epoch": epoch, "offset": 7},
    }
    [home] = await feed.handle_batch([ReadHome(GUEST, "hot", "all", 10, None)])
    assert isinstance(home, Reply)
    assert (home.public, home.channel, "stream" in body(home)) == (False, "", False)


async def test_a_private_feed_is_for_its_members(here: World, feed: Feed) -> None:
    ada, ben, cem = [await here.account(name) for name in ("ada", "ben", "cem")]
    secret = await here.community("secret", private=True)
    post = await here.post(secret, ada)
    await here.join(ada, secret)
    await here.join(cem, secret, "banned")
    admin = await here.account("root")
    await here.pool.execute("update account set role = 'admin' where handle = 'root'")
    callers = [ada, ben, cem, GUEST, admin, ada]
    outcomes = await feed.handle_batch(
        [ReadFeed(caller, "secret", "new", "all", 5, None) for caller in callers]
    )
    codes = [o.code if isinstance(o, Failure) else o.status for o in outcomes]
    assert codes == [200, "not_found", "not_found", "not_found", 200, 200]
    reply = outcomes[0]
    assert isinstance(reply, Reply)
    assert not reply.public
    assert [item["id"] for item in body(reply)["items"]] == [str(post)]


async def test_outcomes_keep_their_places_and_fail_alone(here: World, feed: Feed) -> None:
    ada = await here.account("ada")
    one, two = await here.community("one"), await here.community("two")
    first, second = await here.post(one, ada), await here.post(two, ada)
    requests: list[FeedRequest] = [
        ReadFeed(ada, "two", "hot", "all", 5, None),
        ReadFeed(GUEST, "none", "hot", "all", 5, None),
        ReadFeed(GUEST, "\0", "hot", "all", 5, None),
        ReadFeed(GUEST, "one", "hot", "all", 5, "forged"),
        ReadHome(GUEST, "new", "all", 5, "forged"),
        ReadFeed(GUEST, "two", "hot", "all", 5, None),
        ReadFeed(GUEST, "one", "hot", "all", 5, None),
    ]
    outcomes = await feed.handle_batch(requests)
    assert [o.code for o in outcomes if isinstance(o, Failure)] == [
        "not_found", "not_found", "invalid", "invalid",
    ]  # fmt: skip
    assert [i["id"] for i in body(outcomes[0])["items"]] == [str(second)]
    assert outcomes[5] is outcomes[0]
    assert [i["id"] for i in body(outcomes[6])["items"]] == [str(first)]


@pytest.mark.parametrize("country", [GERMANY, CHAD])
async def test_a_community_page_reads_one_partition_by_its_index(here: World, country: int) -> None:
    ada = await here.account("ada")
    community = await here.community("c", country)
    await here.pool.execute(
        "insert into post (country_id, id, community_id, author_id, stream_id, title,"
        " body_markdown, body_html, language, hot, created_at, up)"
        " select $1, lpad(to_hex(n), 32, '0')::uuid, $2, $3, 1, 't', '', '', 'en', n, now(), n"
        " from generate_series(1, 3000) n",
        country,
        community,
        ada.account_id,
    )
    await here.pool.execute("analyze post")
    bound = feeds.HotBound()
    since = feed_keys.LOWEST_ID
    cases: list[tuple[str, tuple[object, ...]]] = [
        (feeds._HOT_PAGES[0], (*bound.pinned, *bound.rest)),
        (feeds._NEW_PAGES[0], (feed_keys.HIGHEST_ID,)),
        (feeds._TOP_PAGES[0], (feed_keys.HIGHEST_SCORE, feed_keys.HIGHEST_ID, since)),
    ]
    partition = f"post_c{country}" if country == GERMANY else f"post_g{country % 8}"
    for mode in ("force_custom_plan", "force_generic_plan"):
        async with here.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"set local plan_cache_mode = {mode}")
            for statement, values in cases:
                plan = await connection.fetchval(
                    f"explain (analyze, format json) {statement}",
                    country,
                    community,
                    10,
                    None,
                    *values,
                )
                scans = [
                    node for node in nodes(json.loads(plan)[0]["Plan"]) if "Relation Name" in node
                ]
                of_posts = [n for n in scans if n["Relation Name"].startswith("post_")]
                assert {n["Relation Name"] for n in of_posts} == {partition}
                assert {n["Node Type"] for n in of_posts} == {"Index Scan"}
                assert sum(n["Actual Rows"] for n in of_posts) <= 20


async def test_the_feed_of_all_reads_a_page_from_each_partition(here: World) -> None:
    ada = await here.account("ada")
    for country in (0, GERMANY, CHAD):
        community = await here.community(f"c{country}", country)
        await here.pool.execute(
            "insert into post (country_id, id, community_id, author_id, stream_id, title,"
            " body_markdown, body_html, language, hot, created_at)"
            " select $1, lpad(to_hex(n), 32, '0')::uuid, $2, $3, 1, 't', '', '', 'en', n, now()"
            " from generate_series(1, 2000) n",
            country,
            community,
            ada.account_id,
        )
    await here.pool.execute("analyze post")
    plan = await here.pool.fetchval(
        f"explain (analyze, format json) {home_feed._STATEMENTS[False, 'hot', 0]}",
        10, None, feed_keys.HIGHEST, feed_keys.HIGHEST_ID, [], [], [], [], [], feed_keys.LOWEST_ID,
    )  # fmt: skip
    scans = [
        node
        for node in nodes(json.loads(plan)[0]["Plan"])
        if node.get("Relation Name", "").startswith("post_")
    ]
    assert {node["Node Type"] for node in scans} <= {"Index Scan", "Index Only Scan"}
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in scans) <= 60


async def fill_all(here: World, communities: list[UUID], author: Caller, each: int) -> None:
    """The first posts of each community come before the second ones of any."""
    await here.pool.execute(
        "insert into post (country_id, id, community_id, author_id, stream_id, title,"
        " body_markdown, body_html, language, hot, up, created_at)"
        " select $4::smallint,"
        " id_in_country(lpad(to_hex(n * 1000 + place), 32, '0')::uuid, $4::smallint), c, $2::uuid,"
        " 1, 't', '', '', 'en', n * 1000 + place, n * 1000 + place, now()"
        " from unnest($1::uuid[]) with ordinality i (c, place), generate_series(1, $3) n"
        " on conflict do nothing",
        communities,
        author.account_id,
        each,
        GERMANY,
    )
    await here.pool.execute("analyze post")


@pytest.mark.parametrize("sort", ["hot", "new", "top"])
async def test_home_of_many_communities_reads_a_part_of_them_and_loses_nothing(
    here: World, feed: Feed, sort: FeedSort
) -> None:
    ada, reader = await here.account("ada"), await here.account("reader")
    communities = [await here.community(f"c{n}", GERMANY) for n in range(60)]
    for community in communities:
        await here.join(reader, community)
    await fill_all(here, communities, ada, 4)
    found = await walk(feed, None, sort, 20, caller=reader)
    assert len(found) == 240
    assert set(found) == set(await standing(here, "id"))
    await fill_all(here, communities, ada, 200)
    statement = home_feed._STATEMENTS[True, sort, 0]
    async with here.pool.acquire() as connection:
        await feeds.plan_once(connection)
        plan = await connection.fetchval(
            f"explain (analyze, format json) {statement}",
            5, reader.account_id, feed_keys.HIGHEST_SCORE, feed_keys.HIGHEST_ID,
            [], [], [], [], [], feed_keys.LOWEST_ID,
        )  # fmt: skip
    scans = [
        node
        for node in nodes(json.loads(plan)[0]["Plan"])
        if node.get("Relation Name", "").startswith("post_")
    ]
    assert {node["Node Type"] for node in scans} <= {"Index Scan", "Index Only Scan"}
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in scans) <= 60 + 5


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that ran."""
    found = [plan] if plan.get("Actual Loops", 0) else []
    for child in plan.get("Plans", ()):
        found += nodes(child)
    return found
