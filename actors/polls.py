"""Polls of posts: asking, voting, and what one's own vote was."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

import msgspec

from actors import content
from actors.content_events import post_event, publish_edited
from actors.group_commit import Publisher
from actors.messages import ReadPoll, Reply, SetPoll, VoteInPoll
from actors.shard_messages import Ephemeral
from actors.thread_edits import account_of
from actors.thread_reads import visible_post
from storage import polls
from storage.content_locks import no_post
from storage.identity import is_v7
from storage.postgres import Pool
from storage.replicas import Readers

_encode: Final = msgspec.json.Encoder().encode


class Polls:
    def __init__(self, pool: Pool, readers: Readers, publisher: Publisher) -> None:
        self._pool = pool
        self._readers = readers
        self._publisher = publisher

    async def set(self, request: SetPoll) -> Reply:
        if not is_v7(request.post_id):
            raise no_post()
        edited, position = await polls.set_poll(
            self._pool,
            account_of(request.caller.account_id),
            request.post_id,
            polls.Question(
                request.question, list(request.options), request.multiple, request.closes_at
            ),
            partial(post_event, "post.updated", received_ns=request.received_ns),
        )
        publish_edited(self._publisher, edited)
        return Reply(200, _encode(content.post_view(edited.row)), position)

    async def vote(self, request: VoteInPoll) -> Reply:
        if not is_v7(request.post_id):
            raise no_post()
        chosen = sorted(set(request.options))
        counts, position = await polls.vote(
            self._pool, account_of(request.caller.account_id), request.post_id, chosen
        )
        shown = {"votes": counts.votes, "voters": counts.voters}
        if counts.changed:
            fields = {"post_id": request.post_id, **shown}
            data = content.ephemeral("poll.changed", time.time_ns(), fields)
            channel = f"thread:{request.post_id}"
            self._publisher.publish_ephemeral([Ephemeral(channel, f"poll:{request.post_id}", data)])
        return Reply(200, _encode({**shown, "mine": chosen}), position)

    async def read(self, request: ReadPoll) -> Reply:
        """With what the caller voted for."""
        async with self._readers.acquire(request.position) as connection:
            row, _, _ = await visible_post(connection, request.caller, request.post_id)
            poll = content.post_view(row).poll
            if not isinstance(poll, content.Poll):
                raise polls.no_poll()
            account_id, mine = request.caller.account_id, list[int]()
            if account_id is not None:
                mine = await polls.read_choice(connection, account_id, row.id)
        return Reply(200, _encode({**msgspec.structs.asdict(poll), "mine": mine}))
