"""From a write to what is found, and what is never found."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from actors import indexing
from actors.messages import (
    GUEST,
    Caller,
    DeleteComment,
    DeletePost,
    EditPost,
    MergePosts,
    MovePost,
    RestorePost,
    SetPoll,
)
from config.errors import AppError
from storage import group_changes, guides
from storage.group_changes import GroupChanges
from storage.guides import GuideToImport, guide_id, write_guides
from storage.postgres import in_transaction
from storage.search.highlighting import Highlighter
from storage.search.index_jobs import IndexJob, enqueue_index
from tests.integration.content import RECEIVED_NS
from tests.integration.search_world import SearchWorld, search_world

pytestmark = pytest.mark.integration


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[SearchWorld]:
    async with search_world(database_url, tmp_path) as world:
        yield world


def edited(caller: Caller, post_id: str, **fields: Any) -> EditPost:
    none: dict[str, Any] = dict.fromkeys(
        ("title", "body_markdown", "language", "tags", "locked", "pinned")
    )
    return EditPost(caller, UUID(post_id), **(none | fields), received_ns=RECEIVED_NS)


async def done(world: SearchWorld, request: Any) -> Any:
    (outcome,) = await world.content.ask(request)
    return world.content.body(outcome)


async def test_a_page_is_marked_beside_the_event_loop(
    world: SearchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await world.content.member("ana")
    await world.content.post(ana, title="Blocked account", body="Which bank?")
    await world.run_jobs()
    threads: list[int] = []
    quote = Highlighter.snippet

    def snippet(self: Highlighter, text: str) -> str:
        threads.append(threading.get_ident())
        return quote(self, text)

    monkeypatch.setattr(Highlighter, "snippet", snippet)
    assert len(await world.found("account")) == 1
    assert threads and threading.get_ident() not in threads


async def test_a_new_post_and_its_comments_are_found_after_their_job(world: SearchWorld) -> None:
    content = world.content
    ana = await content.member("ana")
    post = await content.post(ana, title="Blocked account for students", body="Which **bank**?")
    comment = await content.comment(ana, post["id"], body="Mine took a <fortnight>.")
    assert await world.found("blocked account") == []
    assert await world.run_jobs() == 2
    assert await world.found("blocked acount") == [post["id"]]
    page = await world.page("fortnight")
    (item,) = page["items"]
    assert item["id"] == comment["id"]
    assert item["kind"] == "comment"
    assert item["title"] == "Blocked account for students"
    assert item["snippet_html"] == "Mine took a &lt;<mark>fortnight</mark>&gt;."
    assert item["url"] == f"/posts/{post['id']}/comments/{comment['id']}"
    assert page["facets"]["country"] == [{"value": "DE", "count": 1}]
    assert page["total"] == 1


async def test_an_edit_is_found_by_its_new_words_alone(world: SearchWorld) -> None:
    ana = await world.content.member("ana")
    post = await world.content.post(ana, title="Where is the apostille", body="old words")
    await world.run_jobs()
    await done(world, edited(ana, post["id"], body_markdown="fresh text"))
    assert (await world.page("words"))["items"][0]["snippet_html"] == "fresh text"
    await world.run_jobs()
    assert await world.found("words") == []
    assert await world.found("fresh") == [post["id"]]
    await done(world, SetPoll(ana, UUID(post["id"]), "", ("Hague", "Vienna"), False, None, 0))
    await world.run_jobs()
    assert await world.found("vienna") == [post["id"]]


async def test_what_is_removed_is_gone_at_once_and_from_the_index_with_its_job(
    world: SearchWorld,
) -> None:
    content = world.content
    ana = await content.member("ana")
    post = await content.post(ana, title="An apostille")
    comment = await content.comment(ana, post["id"], body="apostille at the court")
    other = await content.comment(ana, post["id"], body="apostille by mail")
    await world.run_jobs()
    assert len(await world.found("apostille")) == 3

    await done(world, DeleteComment(ana, UUID(comment["id"]), RECEIVED_NS))
    assert set(await world.found("apostille")) == {post["id"], other["id"]}
    await done(world, DeletePost(ana, UUID(post["id"]), RECEIVED_NS))
    assert await world.found("apostille") == []
    assert await world.documents() == 3
    await world.run_jobs()
    assert await world.documents() == 0

    await done(world, RestorePost(ana, UUID(post["id"]), RECEIVED_NS))
    await world.run_jobs()
    assert set(await world.found("apostille")) == {post["id"], other["id"]}


async def test_a_moved_thread_is_found_where_it_is(world: SearchWorld) -> None:
    content = world.content
    ana, mod = await content.member("ana"), await content.member("mod", "admin")
    post = await content.post(ana, title="An apostille")
    await content.comment(ana, post["id"], body="apostille too")
    await world.run_jobs()
    moved = await done(world, MovePost(mod, UUID(post["id"]), "ca", RECEIVED_NS))
    assert moved["id"] != post["id"]
    assert await world.found("apostille") == []
    await world.run_jobs()
    assert await world.documents() == 2
    items = (await world.page("apostille", country="CA"))["items"]
    assert {item["post_id"] for item in items} == {moved["id"]}

    into = await content.post(ana, "ca", title="Another thread")
    await done(world, MergePosts(mod, UUID(moved["id"]), UUID(into["id"]), RECEIVED_NS))
    await world.run_jobs()
    items = (await world.page("apostille"))["items"]
    assert {item["post_id"] for item in items} == {into["id"]}
    assert await world.documents() == 3


async def _group(world: SearchWorld, owner: Caller) -> Any:
    assert owner.account_id is not None
    new = group_changes.NewGroup("A group", "", "public", "open", ("a-group",), None, b"")
    account = owner.account_id
    made = await in_transaction(
        world.content.pool, lambda connection: group_changes.create(connection, account, new)
    )
    return made.community_id


async def test_a_private_group_is_found_by_its_members_alone(world: SearchWorld) -> None:
    content = world.content
    ana, ben = await content.member("ana"), await content.member("ben")
    root = await content.member("root", "admin")
    group = await _group(world, ana)
    post = await content.post(ana, str(group), title="An apostille")
    comment = await content.comment(ana, post["id"], body="apostille too")
    both = {post["id"], comment["id"]}
    await world.run_jobs()
    for caller in (GUEST, ana, ben):
        assert set(await world.found("apostille", caller)) == both

    account = ana.account_id
    assert account is not None

    async def make(visibility: Any) -> None:
        changes = GroupChanges(None, None, visibility, None, None)
        await in_transaction(
            content.pool,
            lambda connection: group_changes.edit(connection, account, "a-group", changes),
        )

    await make("private")
    for _ in range(2):  # before the job and after it
        for stranger in (GUEST, ben):
            assert await world.found("apostille", stranger) == []
            assert await world.suggested("apost", stranger) == []
        assert set(await world.found("apostille", ana)) == both
        assert set(await world.found("apostille", root)) == both
        await world.run_jobs()
    assert (await world.page("apostille"))["total"] == 0, "nor is it counted"
    await make("public")
    await world.run_jobs()
    assert set(await world.found("apostille", ben)) == both


async def test_a_large_group_is_indexed_anew_in_steps(
    world: SearchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "POSTS_AT_ONCE", 1)
    monkeypatch.setattr(indexing, "AT_ONCE", 1)
    content = world.content
    ana = await content.member("ana")
    group = await _group(world, ana)
    for _ in range(2):
        post = await content.post(ana, str(group), title="An apostille")
        for _ in range(2):
            await content.comment(ana, post["id"], body="apostille too")
    await content.pool.execute("update community set visibility = 'private' where id = $1", group)
    await content.pool.execute("delete from pgqueuer")
    job = IndexJob(communities=[group])
    await in_transaction(content.pool, lambda connection: enqueue_index(connection, job))
    assert await world.run_jobs() == 3, "one for each post, and one that finds no more"
    assert await world.documents() == 6
    assert (await world.page("apostille"))["total"] == 0
    assert (await world.page("apostille", ana))["total"] == 6


async def test_what_a_muted_member_wrote_is_left_out(world: SearchWorld) -> None:
    content = world.content
    ana, ben = await content.member("ana"), await content.member("ben")
    await content.post(ben, title="An apostille")
    await world.run_jobs()
    assert len(await world.found("apostille", ana)) == 1
    assert ana.account_id is not None
    await content.pool.execute(
        "insert into account_mute (account_id, muted_id) values ($1, $2)",
        ana.account_id, ben.account_id,
    )  # fmt: skip
    assert await world.found("apostille", ana) == []
    assert len(await world.found("apostille")) == 1


async def test_pages_neither_repeat_nor_pass_over_anything_while_the_index_changes(
    world: SearchWorld,
) -> None:
    content = world.content
    ana = await content.member("ana")
    posts = [(await content.post(ana, title=f"Apostille {n}"))["id"] for n in range(9)]
    await world.run_jobs()
    for sort in ("relevance", "new"):
        first = await world.page("apostille", limit=3, sort=sort)
        shown = [item["id"] for item in first["items"]]
        # One that was shown goes, a better and newer one comes.
        await done(world, DeletePost(ana, UUID(shown[0]), RECEIVED_NS))
        await content.post(ana, title="Apostille apostille", body="apostille")
        await world.run_jobs()
        cursor = first["next_cursor"]
        while cursor:
            page = await world.page("apostille", limit=3, sort=sort, cursor=cursor)
            shown += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
        assert len(shown) == len(set(shown))
        posts = [id for id in posts if id != shown[0]]
        assert set(posts) <= set(shown)


async def test_a_cursor_belongs_to_its_question(world: SearchWorld) -> None:
    ana = await world.content.member("ana")
    for _ in range(2):
        await world.content.post(ana, title="An apostille")
    await world.run_jobs()
    cursor = (await world.page("apostille", limit=1))["next_cursor"]
    assert await world.found("apostille", cursor=cursor)
    others: list[dict[str, Any]] = [{"q": "visa"}, {"country": "DE"}, {"sort": "new"}]
    for other in others:
        with pytest.raises(AppError) as refused:
            await world.page(**({"q": "apostille", "cursor": cursor} | other))
        assert refused.value.code == "invalid"


async def test_what_has_some_of_the_words_is_better_than_nothing(world: SearchWorld) -> None:
    content = world.content
    ana = await content.member("ana")
    post = await content.post(ana, title="An apostille")
    await content.post(ana, title="The embassy")
    await world.run_jobs()
    assert await world.found("apostille") == [post["id"]]
    assert len(await world.found("apostille embassy quickly")) == 2
    page = await world.page("apostille embassy quickly", limit=1)
    rest = await world.found("apostille embassy quickly", cursor=page["next_cursor"])
    assert len(rest) == 1


async def test_days_languages_and_kinds_bound_what_is_found(world: SearchWorld) -> None:
    content = world.content
    ana = await content.member("ana")
    post = await content.post(ana, title="Apostille in Stuttgart", body="Wie lange dauert das?")
    await world.run_jobs()
    today = datetime.now(UTC).date()
    assert await world.found("apostille", since=today, until=today) == [post["id"]]
    assert await world.found("apostille", until=date(2020, 1, 1)) == []
    assert await world.found("apostille", kinds=("comment",)) == []
    assert await world.found("apostille", language=post["language"]) == [post["id"]]
    assert await world.found("apostille", visa_type="student") == [post["id"]]
    with pytest.raises(AppError) as refused:
        await world.page("apostille", country="XX")
    assert refused.value.code == "invalid"


async def test_guides_are_found_as_long_as_they_are_shown(world: SearchWorld) -> None:
    pool = world.content.pool
    guide = GuideToImport(
        guide_id(276, "g1"), 276, "g1", "student", "de", "Sperrkonto", "Ein **Konto**",
        "<p>Ein <strong>Konto</strong></p>", "Auswärtiges Amt", "https://example.org/1",
        date(2020, 1, 1), date(2020, 1, 1),
    )  # fmt: skip
    await in_transaction(pool, lambda connection: write_guides(connection, [guide]))
    await world.run_jobs()
    (item,) = (await world.page("sperkonto"))["items"]
    assert item["kind"] == "guide"
    assert item["url"] == f"/guides/{guide.id}"
    assert item["stale"] and item["as_of"] == "2020-01-01" and item["author"] is None
    assert item["authority"] == "Auswärtiges Amt"
    assert await world.suggested("sperrk") == ["Sperrkonto"]
    await in_transaction(pool, lambda connection: guides.withdraw(connection, "g1"))
    assert await world.found("sperrkonto") == []
    await world.run_jobs()
    assert await world.documents() == 0


async def test_suggestions_are_titles_with_a_word_that_begins_so(world: SearchWorld) -> None:
    content = world.content
    ana = await content.member("ana")
    post = await content.post(ana, title="Blocked account: which bank?", body="students")
    await content.comment(ana, post["id"], body="accounting")
    await world.run_jobs()
    assert await world.suggested("acc") == ["Blocked account: which bank?"]
    assert await world.suggested("blocked acc") == ["Blocked account: which bank?"]
    assert await world.suggested("stud") == []


async def test_texts_for_models_are_enqueued_once_for_each_version(world: SearchWorld) -> None:
    content = world.content
    ana = await content.member("ana")
    post = await content.post(ana)
    comment = await content.comment(ana, post["id"])

    async def waiting() -> list[bytes]:
        rows = await content.pool.fetch(
            "select payload from pgqueuer where entrypoint = 'embed' order by id"
        )
        return [row["payload"] for row in rows]

    await world.run_jobs()
    expected = [b'{"posts":["%b"]}' % post["id"].encode()]
    assert await waiting() == expected
    await content.pool.execute("update pgqueuer set status = 'picked' where entrypoint = 'embed'")
    await done(world, edited(ana, post["id"], title="Another title"))
    await world.run_jobs()
    assert await waiting() == expected * 2, "one that has begun may have read the former text"
    assert comment["id"].encode() not in b"".join(await waiting())
