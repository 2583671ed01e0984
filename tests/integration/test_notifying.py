"""The job 'notify' on a real database: who is told, once, and what stands in their streams."""

from __future__ import annotations

import msgspec

from storage.identity import new_id
from storage.notices import FreshComment
from storage.stream_writer import rfc3339
from storage.streams import read_events
from tests.integration.notify_scene import Scene, scene

__all__ = ["scene"]


async def test_replies_reach_the_author_of_what_is_replied_to(scene: Scene) -> None:
    top = await scene.here.comment(scene.post, scene.ben)
    answer = await scene.here.comment(scene.post, scene.cem, top)
    await scene.notify(comments=[top, FreshComment(answer, reply_to=top)])
    assert sorted(await scene.told()) == [("ada", "reply", top), ("ben", "reply", answer)]


async def test_it_is_who_was_answered_that_is_told_wherever_the_answer_attaches(
    scene: Scene,
) -> None:
    deep = await scene.here.comment(scene.post, scene.ben)
    deepest = await scene.here.comment(scene.post, scene.cem, deep)
    beside = await scene.here.comment(scene.post, scene.ada, deep)
    await scene.notify(comments=[FreshComment(beside, reply_to=deepest)])
    assert await scene.told() == [("cem", "reply", beside)]


async def test_nobody_is_told_of_what_they_did_themselves(scene: Scene) -> None:
    top = await scene.here.comment(scene.post, scene.ada, body="@ada @ADA I answer myself")
    below = await scene.here.comment(scene.post, scene.ada, top)
    post = await scene.here.post(scene.community, scene.ada, body="by @ada")
    await scene.notify(comments=[top, FreshComment(below, reply_to=top)], posts=[post])
    assert await scene.told() == []
    assert scene.published == []


async def test_mentions_count_once_and_after_replies(scene: Scene) -> None:
    both = await scene.here.comment(
        scene.post, scene.ben, body="@ada and @Cem, @cem, @nobody, `@ada`, x@ben"
    )
    await scene.notify(comments=[both])
    assert sorted(await scene.told()) == [("ada", "reply", both), ("cem", "mention", both)]


async def test_mentions_in_posts(scene: Scene) -> None:
    post = await scene.here.post(scene.community, scene.ada, body="ask @ben")
    await scene.notify(posts=[post])
    await scene.notify(posts=[post])
    assert await scene.told() == [("ben", "mention", None)]


async def test_only_those_who_may_read_it_and_are_active(scene: Scene) -> None:
    here = scene.here
    secret = await here.community("secret", private=True)
    insider, banned = await here.account("insider"), await here.account("banned")
    await here.account("gone", status="deleted")
    await here.account("halted", status="suspended")
    lapsed = await here.account("lapsed", status="suspended")
    await here.pool.execute(
        "update account set suspended_until = now() - interval '1 minute' where id = $1",
        lapsed.account_id,
    )
    for caller in (insider, lapsed, scene.ada):
        await here.join(caller, secret)
    await here.join(banned, secret, "banned")
    author_left = await here.post(secret, scene.cem)
    comment = await here.comment(
        author_left, scene.ada, body="@insider @banned @gone @halted @lapsed @ben"
    )
    await scene.notify(comments=[comment])
    assert sorted(handle for handle, _, _ in await scene.told()) == ["insider", "lapsed"]


async def test_deleted_content_tells_nobody(scene: Scene) -> None:
    comment = await scene.here.comment(scene.post, scene.ben, body="@cem")
    post = await scene.here.post(scene.community, scene.ada, body="@cem")
    below = await scene.here.comment(post, scene.ben, body="@cem")
    await scene.here.pool.execute("update comment set deleted_at = now() where id = $1", comment)
    await scene.here.pool.execute("update post set deleted_at = now() where id = $1", post)
    await scene.notify(comments=[comment, below, new_id(0)], posts=[post, new_id(0)])
    assert await scene.told() == []


async def test_events_stand_in_the_stream_as_they_were_published(scene: Scene) -> None:
    comments = [await scene.here.comment(scene.post, scene.ben, body="@cem") for _ in range(3)]
    await scene.notify(comments=comments)
    for who in (scene.ada, scene.cem):
        channel = f"user:{who.account_id}"
        page = await read_events(scene.here.pool, channel, 0, 100)
        assert page.top is not None
        assert page.top.offset == 3
        live = [
            (p.offset, msgspec.json.decode(p.data)) for p in scene.published if p.channel == channel
        ]
        stored = [(event.offset, msgspec.json.decode(event.data)) for event in page.events]
        for (_, here), (_, there) in zip(live, stored, strict=True):
            # The stream knows a moment inside the transaction, the live copy its end.
            assert here.pop("committed_ns") > there.pop("committed_ns")
        assert live == stored
        event = live[0][1]
        assert event["type"] == "notification.created"
        notification = event["notification"]
        row = await scene.here.pool.fetchrow(
            "select id, kind, created_at from notification where id = $1", notification["id"]
        )
        assert row is not None
        assert notification == {
            "id": str(row["id"]),
            "kind": "reply" if who is scene.ada else "mention",
            "actor": {
                "id": str(scene.ben.account_id), "handle": "ben", "display_name": "BEN",
            },
            "post_id": str(scene.post),
            "comment_id": str(comments[0]),
            "created_at": rfc3339(row["created_at"]),
        }  # fmt: skip


async def test_a_job_that_runs_again_changes_nothing(scene: Scene) -> None:
    comments = [await scene.here.comment(scene.post, scene.ben, body="@cem") for _ in range(2)]
    await scene.notify(comments=comments)

    async def state() -> list[object]:
        return [
            await scene.here.pool.fetch(f"select * from {table} order by 1, 2")
            for table in ("notification", "stream", "stream_event")
        ]

    before, published = await state(), list(scene.published)
    await scene.notify(comments=comments)
    assert await state() == before
    assert scene.published == published
    later = await scene.here.comment(scene.post, scene.cem)
    await scene.notify(comments=[*comments, later])
    # To Ada as a reply; to Ben, who follows the thread since he wrote in it, as news.
    fresh = [(p.channel, p.offset) for p in scene.published[len(published) :]]
    assert fresh == [(f"user:{scene.ada.account_id}", 3), (f"user:{scene.ben.account_id}", 1)]
