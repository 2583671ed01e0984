"""Who may read which channel: a batch is answered by one query per kind of channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from actors.account_messages import AuthorizeChannel, ChannelGrant
from actors.messages import Failure, Outcome, Reply
from config.errors import AppError
from storage import accounts, communities
from storage.accounts import CallerState
from storage.communities import Question, Relation
from storage.identity import parse_id
from storage.postgres import Connection

NAMESPACES: Final = frozenset({"community", "thread", "user"})


class Channel(NamedTuple):
    namespace: str
    id: UUID


def parse_channel(text: str) -> Channel:
    """Raises AppError `invalid`. A channel has one spelling, since it names a stream."""
    namespace, _, id = text.partition(":")
    if namespace not in NAMESPACES:
        raise _invalid("is in no known namespace")
    try:
        return Channel(namespace, parse_id(id))
    except ValueError:
        raise _invalid(f"must be {namespace}: and an id") from None


async def authorize(connection: Connection, requests: Sequence[AuthorizeChannel]) -> list[Outcome]:
    """One outcome per request, in order. The body of a reply is a ChannelGrant in MessagePack.

    `public` grants hold for all who are not suspended, but `may_publish_typing` for members alone:
    a guest's grant never has it. Failures: `invalid`, `not_found`, `not_permitted`, `suspended`,
    `unauthenticated` (the account or the session is no more).
    """
    outcomes: list[Outcome | None] = [None] * len(requests)
    channels: dict[int, Channel] = {}
    for place, request in enumerate(requests):
        try:
            channels[place] = parse_channel(request.channel)
        except AppError as error:
            outcomes[place] = Failure.of(error)
    states = await _states(connection, requests, channels)
    relations = await _relations(connection, requests, channels)
    for place, channel in channels.items():
        try:
            grant = _grant(requests[place], channel, states.get(place), relations.get(place))
        except AppError as error:
            outcomes[place] = Failure.of(error)
        else:
            outcomes[place] = Reply(body=msgspec.msgpack.encode(grant), public=grant.public)
    return [outcome for outcome in outcomes if outcome is not None]


async def _states(
    connection: Connection, requests: Sequence[AuthorizeChannel], channels: dict[int, Channel]
) -> dict[int, CallerState | None]:
    callers = {
        place: (account_id, requests[place].caller.session_id)
        for place in channels
        if (account_id := requests[place].caller.account_id) is not None
    }
    states = await accounts.caller_states(connection, list(callers.values()))
    return dict(zip(callers, states, strict=True))


async def _relations(
    connection: Connection, requests: Sequence[AuthorizeChannel], channels: dict[int, Channel]
) -> dict[int, Relation | None]:
    found: dict[int, Relation | None] = {}
    for namespace, ask in (
        ("community", communities.relations),
        ("thread", communities.relations_of_posts),
    ):
        questions = {
            place: Question(channel.id, requests[place].caller.account_id)
            for place, channel in channels.items()
            if channel.namespace == namespace
        }
        found.update(zip(questions, await ask(connection, list(questions.values())), strict=True))
    return found


def _grant(
    request: AuthorizeChannel,
    channel: Channel,
    state: CallerState | None,
    relation: Relation | None,
) -> ChannelGrant:
    caller = request.caller
    if caller.account_id is not None:
        if state is not None and state.standing == "suspended":
            raise AppError("suspended", "This account is suspended.")
        if state is None or state.standing == "deleted" or state.session_ended:
            raise AppError("unauthenticated", "This session has ended.")
    if channel.namespace == "user":
        if channel.id != caller.account_id:
            raise AppError("not_permitted", "This channel belongs to another account.")
        return ChannelGrant(request.channel, public=False)
    if relation is None:
        raise AppError("not_found", "There is no such channel.")
    if not relation.visible("member" if state is None else state.role):
        raise AppError("not_permitted", "This channel is for members of its community.")
    may_type = (
        channel.namespace == "thread"
        and caller.account_id is not None
        and relation.role != "banned"
    )
    public = relation.visibility == "public"
    return ChannelGrant(request.channel, public, may_type, str(relation.community_id))


def _invalid(reason: str) -> AppError:
    return AppError("invalid", "There is no such kind of channel.", errors=(("channel", reason),))
