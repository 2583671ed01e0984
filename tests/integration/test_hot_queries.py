"""What the hot queries read: the partition of one country, by an index.

Every statement that the actors send is caught and explained with its own values; what counts is
what runs, since a statement over ids learns their countries only then. The tables are small here,
so sequential scans are made dear: where one is left, no index would serve.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from actors.feed import Feed
from actors.feed_messages import ListMemberPosts, ReadFeed, ReadHome
from actors.member_messages import FollowThread, ListSaves, MarkThreadRead, SetSaved
from actors.member_state import MemberState
from actors.messages import (
    GUEST,
    AcceptComment,
    Caller,
    CastVote,
    DeleteComment,
    MergePosts,
    MovePost,
    Outcome,
    ReadComment,
    ReadComments,
    ReadMarks,
    ReadPost,
    ReadPostHistory,
    Reply,
    RestoreComment,
    SetPoll,
    ThreadRequest,
    VoteInPoll,
)
from actors.notifying import Notifier, NotifyJob
from actors.profile import Profile
from actors.public_messages import PublicRead
from actors.thread import Thread
from actors.visa_messages import ListConsulates, ListTimelines, ReadProcessing, ReadTimeline
from storage import answers, attachments, feeds, media
from storage.attachments import Claim
from storage.directory import Directory
from storage.feed_keys import LOWEST_ID
from storage.identity import new_id
from storage.notices import FreshComment
from storage.notifications import list_notifications
from storage.partitions import PARENTS
from storage.postgres import Pool, in_transaction
from tests.integration.content import (
    RECEIVED_NS,
    Content,
    RecordingPublisher,
    content_on,
    create_comment,
    create_post,
)

GERMANY = "_c276"


class Caught:
    """A pool that remembers the statements of its connections."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, tuple[Any, ...]]] = []

    async def connect(self, connection: asyncpg.Connection) -> None:
        connection.add_query_logger(self._catch)
        await connection.execute("set enable_seqscan = off")

    def _catch(self, query: Any) -> None:
        if query.args:
            self.statements.append((query.query, tuple(query.args)))


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as made:
        yield made


class Explained:
    def __init__(self, url: str, content: Content) -> None:
        self._url = url
        self._content = content

    async def ask(self, *requests: ThreadRequest | PublicRead) -> list[dict[str, Any]]:
        """The plans of everything that these requests send, one after the other."""

        async def answer(pool: Pool) -> None:
            directory = Directory(pool)
            thread = Thread(pool, directory, RecordingPublisher())
            feed = Feed(pool, directory)
            for request in requests:
                outcome: Outcome
                if isinstance(request, PublicRead):
                    (outcome,) = await feed.handle_batch([request])
                else:
                    (outcome,) = await thread.handle_batch([request])
                assert isinstance(outcome, Reply), outcome

        return await self.plans(answer)

    async def record(self, who: Caller, id: UUID) -> None:
        """A timeline in Germany."""
        await self._content.pool.execute(
            "insert into timeline (country_id, id, account_id, visa_type, consulate, consulate_key,"
            " events, status, submitted_on) values (276, $1, $2, 'student', 'Mumbai', 'mumbai',"
            " '[]', 'pending', '2026-01-01')",
            id,
            who.account_id,
        )

    async def plans(self, use: Callable[[Pool], Awaitable[None]]) -> list[dict[str, Any]]:
        caught = Caught()
        async with asyncpg.create_pool(
            self._url, min_size=1, max_size=2, init=caught.connect
        ) as pool:
            await use(pool)
            async with pool.acquire() as connection:
                asked = list(caught.statements)
                return [await _plan(connection, query, values) for query, values in asked]


async def _plan(connection: Any, query: str, values: tuple[Any, ...]) -> dict[str, Any]:
    text = await connection.fetchval(f"explain (analyze, format json) {query}", *values)
    plan: dict[str, Any] = msgspec.json.decode(text)[0]["Plan"]
    return plan


COUNTRIES = tuple(f"{parent}_" for parent in PARENTS)


def scans(plan: dict[str, Any], prefixes: tuple[str, ...] = COUNTRIES) -> Iterator[tuple[str, str]]:
    """(kind of node, relation) of every scan of these tables that has run."""
    if not plan["Actual Loops"]:
        return
    relation = plan.get("Relation Name", "")
    if relation.startswith(prefixes):
        yield plan["Node Type"], relation
    for child in plan.get("Plans", ()):
        yield from scans(child, prefixes)


def rows(plan: dict[str, Any], relation: str) -> float:
    """That came from a table."""
    own = plan["Actual Rows"] * plan["Actual Loops"] if plan.get("Relation Name") == relation else 0
    return float(own + sum(rows(child, relation) for child in plan.get("Plans", ())))


def indexes(plan: dict[str, Any], relation: str) -> Iterator[str]:
    """By which a table was read."""
    if plan.get("Relation Name") == relation:
        yield plan["Index Name"]
    for child in plan.get("Plans", ()):
        yield from indexes(child, relation)


@pytest.fixture
async def scene(content: Content, database_url: str) -> tuple[Explained, Caller, Any, Any]:
    ada = await content.member("ada")
    posts = [await content.post(ada, title=f"Question {n}") for n in range(3)]
    comment = await content.comment(ada, posts[0]["id"])
    return Explained(database_url, content), ada, posts[0], comment


async def test_reads_of_one_country(scene: tuple[Explained, Caller, Any, Any]) -> None:
    explained, ada, post, comment = scene
    id = UUID(post["id"])
    timeline_id = new_id(276)
    await explained.record(ada, timeline_id)
    requests: list[ThreadRequest | PublicRead] = [
        *(
            ReadFeed(GUEST, "de-student", sort, window, 30, None)  # type: ignore[arg-type]
            for sort, window in (("hot", "all"), ("new", "all"), ("top", "week"), ("top", "all"))
        ),
        *(
            ReadFeed(GUEST, "de-student", sort, "all", 30, None, languages, False, tag)
            for sort in ("hot", "new", "top")
            for languages in ((), ("de",), ("pt-BR",))
            for tag in (None, "visa")
        ),
        ReadPost(GUEST, id),
        ReadPostHistory(GUEST, id),
        ReadComment(GUEST, UUID(comment["id"]), 3),
        *(ReadComments(GUEST, id, sort, None, 100, None) for sort in ("best", "new", "old")),
        ReadMarks(ada, (id, UUID(comment["id"]))),
        ReadTimeline(GUEST, timeline_id),
        *(
            ListTimelines(GUEST, "DE", visa_type, consulate, None, False, 30, None)
            for visa_type in (None, "student")
            for consulate in (None, "Mumbai")
        ),
        ListConsulates("DE", "student"),
        *(
            ReadProcessing("DE", visa_type, consulate, "2026-01", "2026-12")
            for visa_type in (None, "student")
            for consulate in (None, "Mumbai")
        ),
    ]
    seen: set[str] = set()
    for request in requests:
        plans = await explained.ask(request)
        found = [scan for plan in plans for scan in scans(plan)]
        assert found, request
        for node, relation in found:
            assert relation.endswith(GERMANY), (request, relation)
            assert "Index" in node or node == "Bitmap Heap Scan", (request, node, relation)
        seen |= {relation for _, relation in found}
    assert {f"{parent}{GERMANY}" for parent in PARENTS} == seen


async def test_home_asks_each_community_and_each_partition_by_an_index(
    scene: tuple[Explained, Caller, Any, Any], content: Content
) -> None:
    """Whether a post of the feed of all is of a public community, too."""
    explained, ada, _, _ = scene
    await content.pool.execute(
        "insert into membership (account_id, community_id)"
        " select $1, id from community where slug = 'de-student'",
        ada.account_id,
    )
    for caller, joined in ((GUEST, False), (ada, True)):
        for sort in ("hot", "new", "top"):
            for languages in ((), ("de",), ("pt-BR",)):
                request = ReadHome(caller, sort, "all", 30, None, languages)
                plans = await explained.ask(request)
                found = [
                    scan for plan in plans for scan in scans(plan, ("post_", "community", "member"))
                ]
                assert any(relation == f"post{GERMANY}" for _, relation in found)
                for node, relation in found:
                    assert "Index" in node or node == "Bitmap Heap Scan", (request, node, relation)
                    assert (
                        not joined
                        or relation.startswith(("community", "membership"))
                        or (relation.endswith(GERMANY))
                    ), (request, relation)


async def test_a_members_posts_are_found_in_each_partition_by_an_index(
    scene: tuple[Explained, Caller, Any, Any], content: Content
) -> None:
    """A member writes about any country, so that no partition can be left out."""
    explained, ada, post, _ = scene
    ben = await content.member("ben")
    await content.pool.execute(
        "insert into post (country_id, id, community_id, author_id, stream_id, title,"
        " body_markdown, body_html, language, hot, created_at)"
        " select 276, id_in_country(gen_random_uuid(), 276::smallint), $1, $2, n, '', '', '',"
        " 'en', 0, now() from generate_series(1, 500) n",
        UUID(post["community_id"]),
        ben.account_id,
    )
    await content.pool.execute(f"analyze post{GERMANY}")
    (*_, plan) = await explained.ask(ListMemberPosts(ada.handle, 30, None))
    found = list(scans(plan, ("post_",)))
    assert len(found) > 1 and all("Index" in node for node, _ in found), found
    assert set(indexes(plan, f"post{GERMANY}")) == {f"post{GERMANY}_author_id_id_idx"}


async def test_an_order_that_is_kept_reads_one_country(
    scene: tuple[Explained, Caller, Any, Any], content: Content
) -> None:
    explained, _, post, _ = scene
    community = await content.pool.fetchval("select id from community where slug = 'de-student'")
    country = 276

    async def use(pool: Pool) -> None:
        async with pool.acquire() as connection:
            top = await feeds.top_order(connection, country, community, LOWEST_ID, 100)
            assert top is not None and len(top.keys) == 3
            page = await feeds.chosen_page(connection, country, community, [UUID(post["id"])])
            assert page is not None and len(page.posts) == 1
            changes = await feeds.changed_since(connection, country, community, 1, 100)
            assert changes is not None and len(changes.ranks) == 2

    plans = await explained.plans(use)
    found = [scan for plan in plans for scan in scans(plan, ("post_", "stream_event_"))]
    assert [relation for _, relation in found].count(f"post{GERMANY}") == 3
    for node, relation in found:
        assert "Index" in node or node == "Bitmap Heap Scan", (node, relation)
        assert relation.startswith("stream_event_") or relation.endswith(GERMANY), relation


async def test_a_permalink_reads_what_hangs_together(
    scene: tuple[Explained, Caller, Any, Any], content: Content
) -> None:
    explained, ada, post, comment = scene
    reply = await content.comment(ada, post["id"], parent=comment["id"])
    await content.pool.execute(
        "insert into comment (country_id, id, post_id, depth, author_id, body_markdown, body_html,"
        " language, created_at)"
        " select 276, id_in_country(gen_random_uuid(), 276::smallint), $1, 0, $2, '', '', 'en',"
        " now()"
        " from generate_series(1, 500)",
        UUID(post["id"]),
        ada.account_id,
    )
    for plan in await explained.ask(ReadComment(GUEST, UUID(reply["id"]), 3)):
        for node, relation in scans(plan, ("comment_",)):
            assert "Index" in node and relation.endswith(GERMANY), (node, relation)
        assert rows(plan, f"comment{GERMANY}") <= 10


async def test_what_members_keep_and_are_told_of_one_country(
    scene: tuple[Explained, Caller, Any, Any], content: Content
) -> None:
    explained, ada, post, comment = scene
    ben = await content.member("ben")
    id, about = UUID(post["id"]), UUID(comment["id"])
    reader = ben.account_id
    assert reader is not None

    async def use(pool: Pool) -> None:
        state = MemberState(pool, Profile(pool))
        for request in (
            FollowThread(ben, id, "all"), SetSaved(ben, "post", id, True),
            SetSaved(ben, "comment", about, True), ListSaves(ben, 30, None),
        ):  # fmt: skip
            await state.answer(request)
        later = UUID((await content.comment(ada, post["id"]))["id"])
        job = NotifyJob([FreshComment(later)], [id])
        await Notifier(pool, lambda events: None).run(msgspec.json.encode(job))
        async with pool.acquire() as connection:
            (told,) = await list_notifications(connection, reader, None, 30)
        assert (told.kind, told.comment_id, told.count) == ("thread", later, 1)
        await state.answer(MarkThreadRead(ben, id, about))

    found = [scan for plan in await explained.plans(use) for scan in scans(plan)]
    assert {relation for _, relation in found} == {f"post{GERMANY}", f"comment{GERMANY}"}
    for node, relation in found:
        assert "Index" in node or node == "Bitmap Heap Scan", (node, relation)


async def test_who_may_read_a_file_is_asked_of_one_country(
    scene: tuple[Explained, Caller, Any, Any], content: Content
) -> None:
    explained, ada, post, comment = scene
    assert ada.account_id is not None
    owner, id, about = ada.account_id, UUID(post["id"]), UUID(comment["id"])
    file = await media.create(content.pool, owner, "a.png", "image/png", 10, 10_000)
    claims = [Claim(owner, id, id, (file,)), Claim(owner, about, id, (file,))]
    await attachments.attach(content.pool, claims)
    await content.pool.execute("update media_attachment set check_at = now()")

    async def use(pool: Pool) -> None:
        async with pool.acquire() as connection:
            assert (await media.find(connection, file, None)).public
        assert await attachments.check(pool, 10) == 2
        # For the plans, which are made of what is there afterwards.
        await content.pool.execute("update media_attachment set check_at = now()")

    found = [scan for plan in await explained.plans(use) for scan in scans(plan)]
    assert {relation for _, relation in found} == {f"post{GERMANY}", f"comment{GERMANY}"}
    for node, relation in found:
        assert "Index" in node or node == "Bitmap Heap Scan", (node, relation)


async def test_an_answer_is_looked_up_with_what_it_cites_in_one_country(
    scene: tuple[Explained, Caller, Any, Any], content: Content
) -> None:
    explained, ada, post, comment = scene
    assert ada.account_id is not None
    reader, answer = ada.account_id, new_id(276)
    cited = answers.CitedSource(UUID(comment["id"]), "comment", 1, UUID(post["id"]))
    new = answers.NewAnswer(
        answer, None, b"key", "How?", 276, "en", "extractive", "[]", "{}", [cited]
    )
    assert await in_transaction(content.pool, lambda connection: answers.keep(connection, new))

    async def use(pool: Pool) -> None:
        async with pool.acquire() as connection:
            found = await answers.find(connection, b"key", reader, seconds=60, not_found_seconds=60)
            assert found is not None and found.id == answer
            assert await answers.give_feedback(connection, reader, answer, "helpful", "")

    found = [
        scan for plan in await explained.plans(use) for scan in scans(plan, (*COUNTRIES, "answer"))
    ]
    partitions = {relation for _, relation in found if not relation.startswith("answer")}
    assert partitions == {f"post{GERMANY}", f"comment{GERMANY}"}
    for node, relation in found:
        if node != "ModifyTable":
            assert "Index" in node or node == "Bitmap Heap Scan", (node, relation)


async def test_writes_of_one_country(content: Content) -> None:
    """What functions read is not to be explained: the counters of the transaction tell it."""
    ada = await content.member("ada")
    post = await content.post(ada)
    comment = await content.comment(ada, post["id"])
    requests: list[ThreadRequest] = [
        create_post(ada),
        create_comment(ada, post["id"], parent=comment["id"]),
        CastVote(ada, "post", UUID(post["id"]), 1),
        CastVote(ada, "comment", UUID(comment["id"]), -1),
    ]
    before = await _touched(content)
    for outcome in await content.ask(*requests):
        assert isinstance(outcome, Reply), outcome
    touched = {name for name, count in (await _touched(content)).items() if count > before[name]}
    assert touched == {f"{parent}{GERMANY}" for parent in ("post", "comment", "vote")}


async def test_a_thread_that_goes_to_another_country_touches_two(content: Content) -> None:
    ada, mod = await content.member("ada"), await content.member("mod", "moderator")
    post, other = await content.post(ada), await content.post(ada)
    comment = await content.comment(ada, post["id"])
    await content.comment(ada, other["id"])
    before = await _touched(content)
    moved = UUID(post["id"])
    for request in (
        SetPoll(ada, UUID(other["id"]), "", ("A", "B"), False, None, RECEIVED_NS),
        VoteInPoll(ada, UUID(other["id"]), (1,)),
        AcceptComment(ada, moved, UUID(comment["id"]), RECEIVED_NS),
        DeleteComment(mod, UUID(comment["id"]), RECEIVED_NS),
        RestoreComment(mod, UUID(comment["id"]), RECEIVED_NS),
        MovePost(mod, moved, "de", RECEIVED_NS),
        MergePosts(mod, moved, UUID((await content.post(ada))["id"]), RECEIVED_NS),
        MovePost(mod, UUID(other["id"]), "fr", RECEIVED_NS),
    ):
        [outcome] = await content.ask(request)
        assert isinstance(outcome, Reply), outcome
    touched = {name for name, count in (await _touched(content)).items() if count > before[name]}
    assert touched == {
        f"{parent}{country}" for parent in PARENTS for country in (GERMANY, "_c250")
    } - {"vote_c250", "revision_c250", f"timeline{GERMANY}", "timeline_c250"}


async def _touched(content: Content) -> dict[str, int]:
    """Scans, and rows written, of every partition since the database began."""
    await _flush_statistics(content)
    rows = await content.pool.fetch(
        "select relname, coalesce(seq_scan, 0) + coalesce(idx_scan, 0) + n_tup_ins as n"
        " from pg_stat_user_tables where relname ~ '^(post|comment|vote|revision)_[cg][0-9]+$'"
    )
    return {row["relname"]: row["n"] for row in rows}


async def _flush_statistics(content: Content) -> None:
    """Each backend tells of itself when it is idle, or at once when asked."""
    connections = []
    async with asyncio.timeout(20):
        for _ in range(content.pool.get_max_size()):
            connections.append(await content.pool.acquire())
        for connection in connections:
            await connection.execute("select pg_stat_force_next_flush()")
            await connection.execute("select 1")
            await content.pool.release(connection)
