"""presence, presence_stats, history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.shard_messages import (
    ClientsReply,
    HistoryReply,
    PresenceReply,
    ReadClients,
    ReadPresence,
)
from serve_app.gateway import codes
from serve_app.gateway.codec_json import single_line
from serve_app.gateway.commands.continuity import publication_result
from serve_app.gateway.commands.rights import permit_read, row_of
from serve_app.gateway.protocol import (
    Command,
    HistoryRequest,
    HistoryResult,
    PresenceResult,
    PresenceStatsResult,
    Reply,
)

if TYPE_CHECKING:
    from serve_app.gateway.session import Session


async def presence(session: Session, command: Command) -> None:
    request = command.presence
    assert request is not None
    name = request.channel
    row = row_of(session, name)
    if row.presence != "clients":
        raise codes.not_available()
    await permit_read(session, name, row, row.read_presence)
    async with session.outbox.turn:
        reply = await session.services.links.ask(name, ReadClients(name))
        assert isinstance(reply, ClientsReply)
        size = sum(map(len, reply.clients.values()))
        if size > session.outbox.largest_message:
            raise codes.limit_exceeded()
        await session.outbox.wait_room(size)
        clients = {client: msgspec.Raw(single_line(info)) for client, info in reply.clients.items()}
        session.reply(Reply(command.id, presence=PresenceResult(clients)))


async def presence_stats(session: Session, command: Command) -> None:
    request = command.presence_stats
    assert request is not None
    name = request.channel
    row = row_of(session, name)
    if row.presence == "off":
        raise codes.not_available()
    await permit_read(session, name, row, row.read_presence)
    reply = await session.services.links.ask(name, ReadPresence(name))
    assert isinstance(reply, PresenceReply)
    result = PresenceStatsResult(reply.clients, reply.users)
    session.reply(Reply(command.id, presence_stats=result))


async def history(session: Session, command: Command) -> None:
    request = command.history
    assert request is not None
    name, since = request.channel, request.since
    row = row_of(session, name)
    if row.history == "none":
        raise codes.not_available()
    await permit_read(session, name, row, row.read_history)
    most = row.history_page(session.services.settings.history_limit)
    limit = min(request.limit, most) if request.limit >= 0 else most
    after = since.offset if since is not None else 0
    if request.reverse and since is not None and after <= 1:
        limit = 0  # nothing is older; to the shard 0 would mean "from the top"
    # One at a time: what is read and can't be written yet lies in memory.
    async with session.outbox.turn:
        reply = await session.services.links.history(name, after, limit, request.reverse)
        await session.outbox.wait_room(sum(len(p.data) for p in reply.publications))
        _answer_history(session, command.id, request, limit, reply)


def _answer_history(
    session: Session, id: int, request: HistoryRequest, limit: int, reply: HistoryReply
) -> None:
    since = request.since
    after = since.offset if since is not None else 0
    top = reply.top
    epoch, last = (top.epoch, top.offset) if top is not None else ("", 0)
    publications = reply.publications[:limit]
    if since is not None:
        first = publications[0].offset if publications else last + 1
        trimmed = limit > 0 and not request.reverse and first > after + 1
        if since.epoch not in ("", epoch) or after > last or trimmed:
            raise codes.unrecoverable_position()
    result = HistoryResult([publication_result(p) for p in publications], epoch, last)
    session.reply(Reply(id, history=result))
