"""`feed.activity`: what a second brought, as one event, also for who takes no durable ones."""

from __future__ import annotations

import json

import msgspec

from actors import shard_messages as m
from actors.new_posts import NewPosts
from tests.shard_model import StreamLog
from tests.unit.shard_conversation import hello, poll, running

HERE = "community:0190b5d0-0000-7000-8000-000000000001"
THREAD = "thread:0190b5d0-0000-7000-8000-000000000002"


def created(id: str, *, deleted: bool = False) -> bytes:
    post = {"id": id, "title": "t", "deleted": deleted}
    return msgspec.json.encode({"type": "post.created", "at": "", "sent_ns": 1, "post": post})


def test_only_posts_that_stand_count() -> None:
    posts = NewPosts()
    posts.see(m.Publication(HERE, 1, created("a")))
    posts.see(m.Publication(HERE, 2, b'{"type":"post.updated","post":{"id":"a","deleted":false}}'))
    posts.see(m.Publication(HERE, 3, created("gone", deleted=True)))
    posts.see(m.Publication(HERE, 4, created("b")))
    posts.see(m.Publication(THREAD, 1, created("c")))
    assert posts.take() == {HERE: (HERE.removeprefix("community:"), 2, "b")}
    assert posts.take() == {}


async def test_a_shard_tells_what_came_once() -> None:
    log = StreamLog(HERE)
    async with running(log) as shard:
        reply = await hello(shard, HERE)
        first, second = (log.commit(HERE, created(id)) for id in ("a", "b"))
        await shard.handle(m.Publish([second]))  # overtakes the first: none is delivered yet
        shard.tell_new_posts()
        await shard.handle(m.Publish([first, second]))
        shard.tell_new_posts()
        shard.tell_new_posts()
        answer = await poll(shard, reply.incarnation)
        assert [p.offset for p in answer.publications] == [1, 2, 0]
        assert [p.counter for p in answer.publications] == [False, False, True]
        told = json.loads(answer.publications[-1].data)
        del told["at"]
        assert told == {
            "type": "feed.activity",
            "community_id": HERE.removeprefix("community:"),
            "new_posts": 2,
            "newest_id": "b",
        }
