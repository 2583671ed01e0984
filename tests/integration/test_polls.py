from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.messages import GUEST, Caller, DeletePost, ReadPoll, ReadPost, SetPoll, VoteInPoll
from storage.identity import new_id
from tests.integration.content import RECEIVED_NS, Content, content_on

pytestmark = pytest.mark.integration


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as content:
        yield content


def asked(caller: Caller, post: Any, *options: str, **fields: Any) -> SetPoll:
    request = SetPoll(caller, UUID(post["id"]), "Which?", options, False, None, RECEIVED_NS)
    return msgspec.structs.replace(request, **fields)


async def vote(content: Content, caller: Caller, post: Any, *options: int) -> Any:
    [reply] = await content.ask(VoteInPoll(caller, UUID(post["id"]), options))
    return content.body(reply)


async def refused(content: Content, caller: Caller, post: Any, *options: int) -> str:
    [outcome] = await content.ask(VoteInPoll(caller, UUID(post["id"]), options))
    return content.code(outcome)


async def read(content: Content, caller: Caller, post: Any) -> Any:
    return content.body((await content.ask(ReadPoll(caller, UUID(post["id"]))))[0])


def counts(poll: Any) -> Sequence[int]:
    return [option["votes"] for option in poll["options"]]


async def test_a_poll_is_part_of_its_post_and_of_its_events(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    [missing] = await content.ask(ReadPoll(GUEST, UUID(post["id"])))
    assert content.code(missing) == "not_found"
    closes_at = datetime.now(UTC) + timedelta(days=1)
    request = asked(ana, post, "A", "B", closes_at=closes_at)
    answer = content.body((await content.ask(request))[0])
    assert answer["poll"] == {
        "question": "Which?",
        "multiple": False,
        "options": [{"text": "A", "votes": 0}, {"text": "B", "votes": 0}],
        "voters": 0,
        "closes_at": closes_at.strftime("%Y-%m-%dT%H:%M:%S.")
        + f"{closes_at.microsecond // 1000:03}Z",
    }
    page = content.body((await content.ask(ReadPost(GUEST, UUID(post["id"]))))[0])
    assert page["poll"] == answer["poll"]
    event = msgspec.json.decode(content.publisher.publications[-1].data)
    assert (event["type"], event["post"]) == ("post.updated", answer)
    content.publisher.publications.clear()
    assert content.body((await content.ask(request))[0]) == answer
    assert content.publisher.publications == []
    assert await read(content, GUEST, post) == {**answer["poll"], "mine": []}


async def test_a_member_has_one_vote_and_may_change_it(content: Content) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    post = await content.post(ana)
    await content.ask(asked(ana, post, "A", "B", "C"))
    assert await vote(content, ana, post, 0) == {"votes": [1, 0, 0], "voters": 1, "mine": [0]}
    await vote(content, ben, post, 0)
    changed = await vote(content, ana, post, 2)
    assert changed == {"votes": [1, 0, 1], "voters": 2, "mine": [2]}
    content.publisher.ephemeral.clear()
    assert await vote(content, ana, post, 2) == changed
    assert content.publisher.ephemeral == []
    assert await vote(content, ben, post) == {"votes": [0, 0, 1], "voters": 1, "mine": []}
    [event] = content.publisher.ephemeral
    assert event.channel == f"thread:{post['id']}"
    shown = msgspec.json.decode(event.data)
    assert (shown["type"], shown["votes"], shown["voters"]) == ("poll.changed", [0, 0, 1], 1)
    assert (await read(content, ana, post))["mine"] == [2]
    assert (await read(content, ben, post))["mine"] == []


async def test_several_options_count_one_voter(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    await content.ask(asked(ana, post, "A", "B", "C", multiple=True))
    assert await vote(content, ana, post, 2, 0, 2) == {
        "votes": [1, 0, 1],
        "voters": 1,
        "mine": [0, 2],
    }
    poll = await read(content, ana, post)
    assert (counts(poll), poll["voters"], poll["mine"]) == ([1, 0, 1], 1, [0, 2])


async def test_what_a_poll_refuses(content: Content) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    post = await content.post(ana)
    [not_his] = await content.ask(asked(ben, post, "A", "B"))
    assert content.code(not_his) == "not_permitted"
    assert await refused(content, ben, post, 0) == "not_found"
    assert await refused(content, ben, {"id": str(new_id(276))}, 0) == "not_found"
    await content.ask(asked(ana, post, "A", "B"))
    assert await refused(content, ben, post, 2) == "invalid"
    assert await refused(content, ben, post, 0, 1) == "invalid"
    assert await refused(content, GUEST, post, 0) == "unauthenticated"
    # As votes on posts: a locked thread takes them.
    await content.pool.execute("update post set locked = true")
    await vote(content, ben, post, 1)
    await content.pool.execute("update poll set closes_at = now()")
    assert await refused(content, ben, post, 0) == "locked"
    await content.pool.execute("update account set status = 'suspended' where handle = 'ben'")
    assert await refused(content, ben, post, 0) == "suspended"
    await content.ask(DeletePost(ana, UUID(post["id"]), RECEIVED_NS))
    assert await refused(content, ana, post, 0) == "not_found"
    [gone] = await content.ask(ReadPoll(ana, UUID(post["id"])))
    assert content.code(gone) == "not_found"


async def test_strangers_learn_nothing_of_a_private_poll(content: Content) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    post = await content.post(ana, "fr")
    await content.ask(asked(ana, post, "A", "B"))
    await content.pool.execute("update community set visibility = 'private' where slug = 'fr'")
    hidden = await content.ask(
        ReadPoll(ben, UUID(post["id"])), VoteInPoll(ben, UUID(post["id"]), (0,))
    )
    id = new_id(250)
    unknown = await content.ask(ReadPoll(ben, id), VoteInPoll(ben, id, (0,)))
    assert hidden == unknown


async def test_a_poll_with_votes_is_replaced_in_the_first_hour_only(content: Content) -> None:
    ana, ben = await content.member("ana"), await content.member("ben")
    post = await content.post(ana)
    await content.ask(asked(ana, post, "A", "B"))
    await vote(content, ben, post, 1)
    answer = content.body((await content.ask(asked(ana, post, "A", "B", "C")))[0])
    assert (counts(answer["poll"]), answer["poll"]["voters"]) == ([0, 0, 0], 0)
    assert (await read(content, ben, post))["mine"] == []
    await content.pool.execute("update post set created_at = now() - interval '2 hours'")
    answer = content.body((await content.ask(asked(ana, post, "A", "D")))[0])
    assert [option["text"] for option in answer["poll"]["options"]] == ["A", "D"]
    await vote(content, ben, post, 1)
    [late] = await content.ask(asked(ana, post, "A", "E"))
    assert content.code(late) == "conflict"


async def test_a_removed_post_leaves_no_poll_in_its_events(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    await content.ask(asked(ana, post, "the secret", "B"))
    await content.ask(DeletePost(ana, UUID(post["id"]), RECEIVED_NS))
    assert not await content.pool.fetchval(
        "select exists (select from stream_event where strpos(payload, 'secret') > 0)"
    )
