"""Follows with levels, and mutes, as the job 'notify' honours them."""

from __future__ import annotations

import asyncio
from uuid import UUID

import msgspec
import pytest

from actors.messages import Caller, EditComment, EditPost, Reply
from actors.notifying import Notifier
from actors.thread import Thread
from storage.directory import Directory
from storage.notices import EditedText, FreshComment
from storage.notifications import mark_read
from tests.integration.content import RecordingPublisher
from tests.integration.notify_scene import Scene, scene

__all__ = ["scene"]

pytestmark = pytest.mark.integration

HIGHEST = UUID(int=2**128 - 1)


async def read_all(scene: Scene, who: Caller) -> None:
    assert who.account_id is not None
    async with scene.here.pool.acquire() as connection:
        await mark_read(connection, who.account_id, HIGHEST)


async def comment(scene: Scene, who: Caller, body: str = "text") -> UUID:
    """A comment, told."""
    id = await scene.here.comment(scene.post, who, body=body)
    await scene.notify(comments=[id])
    return id


async def test_a_followed_thread_is_told_once_until_it_was_read(scene: Scene) -> None:
    dan = await scene.here.account("dan")
    before = await scene.here.comment(scene.post, scene.ben)
    await scene.follow(dan, "all")
    await scene.notify(comments=[before])
    assert await scene.counts(dan) == []
    first = await comment(scene, scene.ben)
    own = f"user:{dan.account_id}"
    for _ in range(2):
        await comment(scene, scene.cem)
    await comment(scene, dan)
    assert await scene.counts(dan) == [("thread", 3)]
    assert [p.channel for p in scene.published].count(own) == 1
    assert ("dan", "thread", first) in await scene.told()

    await read_all(scene, dan)
    await scene.notify(comments=[first])
    assert await scene.counts(dan) == [("thread", 3)]
    later = await comment(scene, scene.cem)
    assert await scene.counts(dan) == [("thread", 3), ("thread", 1)]
    await scene.here.pool.execute("update comment set deleted_at = now() where id = $1", first)
    assert await scene.counts(dan) == [("thread", 2), ("thread", 1)]
    assert ("dan", "thread", later) in await scene.told()


async def test_jobs_at_once_tell_a_follower_once(scene: Scene) -> None:
    dan = await scene.here.account("dan")
    await scene.follow(dan, "all")
    ids = [await scene.here.comment(scene.post, scene.ben) for _ in range(4)]
    await asyncio.gather(*(scene.notify(comments=[id]) for id in ids))
    assert [kind for kind, _ in await scene.counts(dan)] == ["thread"]


async def test_followers_are_told_in_batches_and_a_repetition_tells_nobody(scene: Scene) -> None:
    followers = [await scene.here.account(f"follower{n}") for n in range(5)]
    for follower in followers:
        await scene.follow(follower, "all")
    id = await scene.here.comment(scene.post, scene.ben)
    for _ in range(2):
        await scene.notify(comments=[id], followers_at_once=2)
    told = [handle for handle, kind, _ in await scene.told() if kind == "thread"]
    assert sorted(told) == [follower.handle for follower in followers]


async def test_mentions_is_mentions_and_direct_replies(scene: Scene) -> None:
    await scene.follow(scene.cem, "mentions")
    mine = await scene.here.comment(scene.post, scene.cem)
    await comment(scene, scene.ben)
    assert await scene.counts(scene.cem) == []
    answer = await scene.here.comment(scene.post, scene.ben, mine)
    await scene.notify(comments=[FreshComment(answer, reply_to=mine)])
    await comment(scene, scene.ben, "@cem")
    assert await scene.counts(scene.cem) == [("reply", 1), ("mention", 1)]


async def test_none_is_nothing(scene: Scene) -> None:
    for who in (scene.ada, scene.cem):
        await scene.follow(who, "none")
    mine = await scene.here.comment(scene.post, scene.cem)
    answer = await scene.here.comment(scene.post, scene.ben, mine, body="@cem @ada")
    await scene.notify(comments=[mine, FreshComment(answer, reply_to=mine)])
    assert await scene.told() == []
    assert await scene.level(scene.cem) == "none"


async def test_a_community_with_none_is_silent_but_for_threads_with_a_level(scene: Scene) -> None:
    dan = await scene.here.account("dan")
    for who in (scene.cem, dan):
        await scene.follow_community(who, "none")
    await scene.follow(dan, "mentions")
    post = await scene.here.post(scene.community, scene.ada, body="@cem", age_days=-300)
    await scene.notify(posts=[post])
    await comment(scene, scene.ben, "@cem @dan")
    assert await scene.counts(scene.cem) == []
    assert await scene.counts(dan) == [("mention", 1)]
    # Taking part does not make it louder than it is to be.
    await comment(scene, scene.cem)
    assert await scene.level(scene.cem) == "none"


async def test_who_takes_part_follows(scene: Scene) -> None:
    await scene.here.pool.execute(
        "update account set default_follow_level = 'mentions' where handle = 'cem'"
    )
    await comment(scene, scene.cem)
    first = await comment(scene, scene.ben)
    assert (await scene.level(scene.ben), await scene.level(scene.cem)) == ("all", "mentions")
    await comment(scene, scene.cem)
    assert await scene.counts(scene.cem) == []
    assert await scene.counts(scene.ben) == [("thread", 1)]
    assert await scene.level(scene.ada) is None
    await scene.notify(posts=[scene.post], comments=[first])
    assert await scene.level(scene.ada) == "all"


async def test_answers_to_a_post_are_one_notification_of_its_author(scene: Scene) -> None:
    await scene.notify(posts=[scene.post])
    first = await comment(scene, scene.ben)
    await comment(scene, scene.cem)
    assert await scene.counts(scene.ada) == [("reply", 2)]
    named = await comment(scene, scene.cem, "@ada")
    assert await scene.counts(scene.ada) == [("reply", 3), ("mention", 1)]
    told = [each for each in await scene.told() if each[0] == "ada"]
    assert told == [("ada", "reply", first), ("ada", "mention", named)]


async def test_a_followed_community_is_told_of_posts(scene: Scene) -> None:
    dan, muting = await scene.here.account("dan"), await scene.here.account("muting")
    for who in (scene.ben, dan, muting):
        await scene.follow_community(who, "all")
    await scene.follow_community(scene.cem, "mentions")
    await scene.here.pool.execute(
        "insert into community_mute (account_id, community_id) values ($1, $2)",
        muting.account_id,
        scene.community,
    )
    old = await scene.here.post(scene.community, scene.ada, age_days=10_000)
    posts = [
        await scene.here.post(scene.community, scene.ben, age_days=-300 - n, body="@cem")
        for n in range(2)
    ]
    for post in (old, *posts):
        for _ in range(2):
            await scene.notify(posts=[post])
    assert await scene.counts(dan) == [("post", 2)]
    assert await scene.counts(scene.cem) == [("mention", 1)] * 2
    assert await scene.counts(scene.ben) == await scene.counts(muting) == []


async def test_muted_authors_cause_nothing(scene: Scene) -> None:
    dan = await scene.here.account("dan")
    await scene.follow(dan, "all")
    for who in (scene.ada, scene.cem, dan):
        await scene.mute(who, scene.ben)
    await comment(scene, scene.ben, "@cem")
    assert await scene.told() == []
    await comment(scene, scene.cem)
    await comment(scene, scene.ben)
    assert await scene.counts(dan) == [("thread", 1)]
    assert await scene.counts(scene.ada) == [("reply", 1)]


async def test_followers_who_may_not_read_it_are_not_told(scene: Scene) -> None:
    here = scene.here
    insider, left, halted = [await here.account(name) for name in ("insider", "left", "halted")]
    await here.join(insider, scene.community)
    await here.pool.execute("update account set status = 'suspended' where handle = 'halted'")
    await here.pool.execute("update community set visibility = 'private'")
    for who in (insider, left, halted):
        await scene.follow(who, "all")
    await comment(scene, scene.ben)
    assert await scene.told() == [
        ("insider", "thread", await here.pool.fetchval("select id from comment"))
    ]
    await here.pool.execute("delete from membership")
    await comment(scene, scene.ben)
    # What they were told stays, but says no more how much it stands for.
    assert await scene.counts(insider) == [("thread", 1)]


async def test_an_edit_tells_whom_only_the_new_text_mentions(scene: Scene) -> None:
    here = scene.here
    thread = Thread(here.pool, Directory(here.pool), RecordingPublisher())
    dan = await here.account("dan")
    await here.join(scene.ben, scene.community)
    await here.pool.execute("delete from stream_event")
    await scene.mute(scene.cem, scene.ben)
    id = await comment(scene, scene.ben, "@cem")
    await here.pool.execute("delete from account_mute")
    edits: list[EditComment | EditPost] = [
        EditComment(scene.ben, id, "@cem and nobody else", 1),
        EditComment(scene.ben, id, "@cem and @dan", 1),
        EditComment(scene.ben, id, "no name", 1),
        EditPost(scene.ada, scene.post, "For @dan", None, None, None, None, None, 1),
        EditPost(scene.ada, scene.post, None, None, None, ("tag",), None, None, 1),
    ]
    told = []
    for edit in edits:
        (outcome,) = await thread.handle_batch([edit])
        assert isinstance(outcome, Reply), outcome
        jobs = await here.pool.fetch("delete from pgqueuer returning entrypoint, payload")
        payloads = [job for job in jobs if job["entrypoint"] == "notify"]
        for payload in payloads:
            for _ in range(2):
                await Notifier(here.pool, scene.published.extend).run(payload["payload"])
        told.append((len(payloads), await scene.counts(dan)))
    once, twice = [("mention", 1)], [("mention", 1)] * 2
    assert told == [(1, []), (1, once), (0, once), (1, twice), (1, twice)]
    assert await scene.counts(scene.cem) == []


async def test_news_become_a_mention_when_an_edit_makes_them_one(scene: Scene) -> None:
    dan = await scene.here.account("dan")
    await scene.follow(dan, "all")
    id = await comment(scene, scene.ben)
    await read_all(scene, dan)
    listed = "select array_agg(id) from notification where account_id = $1"
    filed = (
        "select array_agg(distinct e.subject_id) from stream_event e join stream s"
        " on s.id = e.stream_id where s.channel = 'user:' || $1::uuid"
    )
    (first,) = await scene.here.pool.fetchval(listed, dan.account_id)
    await scene.here.pool.execute(
        "insert into revision (country_id, target_id, number, body_markdown, editor_id,"
        " replaced_at) values (0, $1, 1, 'text', $2, now())",
        id,
        scene.ben.account_id,
    )
    await scene.here.pool.execute("update comment set body_markdown = '@dan' where id = $1", id)
    published = len(scene.published)
    for _ in range(2):
        await scene.notify(edited=[EditedText(id, False, 1)])
    assert [kind for kind, _ in await scene.counts(dan)] == ["mention"]
    (event,) = scene.published[published:]
    assert msgspec.json.decode(event.data)["notification"]["kind"] == "mention"
    # Both events are found by the notification that there is now.
    (now,) = await scene.here.pool.fetchval(listed, dan.account_id)
    assert now != first
    assert await scene.here.pool.fetchval(filed, dan.account_id) == [now]
    await comment(scene, scene.cem)
    assert [kind for kind, _ in await scene.counts(dan)] == ["mention", "thread"]
