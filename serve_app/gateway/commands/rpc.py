"""rpc: one call, answered by whoever the gateway was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from config.errors import AppError
from serve_app.gateway import codes
from serve_app.gateway.codec_json import single_line
from serve_app.gateway.commands.rights import check_rate
from serve_app.gateway.protocol import Command, Reply, RpcResult

if TYPE_CHECKING:
    from serve_app.gateway.session import Session


async def rpc(session: Session, command: Command) -> None:
    request = command.rpc
    assert request is not None
    call = session.services.rpc
    if call is None:
        raise codes.not_available()
    await check_rate(session)
    try:
        data = await call(session.caller, session.address, request.method, bytes(request.data))
    except AppError as error:
        if error.code == "not_found":
            raise codes.method_not_found() from None
        raise
    await session.outbox.wait_room(len(data))
    result = RpcResult(msgspec.Raw(single_line(data)) if data else msgspec.UNSET)
    session.reply(Reply(command.id, rpc=result))
