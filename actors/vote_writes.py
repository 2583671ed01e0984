"""Votes: a batch is one transaction; counts reach open pages as coalesced ephemeral events."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from actors import content
from actors.group_commit import Publisher, commit, refused
from actors.messages import CastVote, Failure, Outcome, Reply
from actors.shard_messages import Ephemeral
from storage import comments as comment_table
from storage.postgres import Pool

_encode: Final = msgspec.json.Encoder().encode


async def cast_votes(
    pool: Pool, publisher: Publisher, requests: Sequence[CastVote]
) -> list[Outcome]:
    """One transaction; of several votes of one member for one target the last one counts."""
    last = {(r.caller.account_id, r.target_id): place for place, r in enumerate(requests)}
    places = sorted(last.values())
    votes = [
        comment_table.Vote(
            _member(requests[p]),
            requests[p].target_id,
            requests[p].kind == "post",
            requests[p].value,
        )
        for p in places
    ]
    rows, position = await commit(pool, votes, comment_table.cast_votes)
    by_vote = {
        (requests[p].caller.account_id, requests[p].target_id): row
        for p, row in zip(places, rows, strict=True)
    }
    now_ns = time.time_ns()
    outcomes: list[Outcome] = []
    events: dict[tuple[str, UUID], Ephemeral] = {}
    for request in requests:
        row = by_vote[request.caller.account_id, request.target_id]
        if isinstance(row, Failure):
            outcomes.append(row)
        elif row.status in ("ok", "unchanged"):
            counts = {"up": row.up, "down": row.down, "score": row.up - row.down}
            mine = requests[last[request.caller.account_id, request.target_id]].value
            outcomes.append(Reply(200, _encode({**counts, "mine": mine}), position))
            if row.status == "ok":
                for event in _vote_events(request, row, counts, now_ns):
                    events[event.channel, request.target_id] = event
        else:
            outcomes.append(refused(row.status))
    publisher.publish_ephemeral(list(events.values()))
    return outcomes


def _vote_events(
    request: CastVote, row: comment_table.VoteResult, counts: dict[str, int], at_ns: int
) -> list[Ephemeral]:
    data = content.ephemeral(
        "vote.changed", at_ns, {"kind": request.kind, "id": request.target_id, **counts}
    )
    channels = [f"thread:{row.post_id}"]
    if request.kind == "post":
        channels.append(f"community:{row.community_id}")
    key = f"vote:{request.target_id}"
    return [Ephemeral(channel, key, data, counter=True) for channel in channels]


def _member(request: CastVote) -> UUID:
    assert request.caller.account_id is not None  # Thread answers guests before
    return request.caller.account_id
