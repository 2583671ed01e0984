"""The combinations of SDK, transport and encoding, and how to sit in one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.e2e.js_client import JsClient
from tests.e2e.js_seat import JsSeat
from tests.e2e.python_client import PythonClient
from tests.e2e.python_seat import PythonSeat
from tests.e2e.seat import GiveToken, Seat


@dataclass(frozen=True)
class Cell:
    sdk: str
    transport: str = "websocket"
    protobuf: bool = False

    def __str__(self) -> str:
        return f"{self.sdk}-{self.transport}-{'protobuf' if self.protobuf else 'json'}"


@contextlib.asynccontextmanager
async def seated(
    cell: Cell,
    stream: str,
    commands: str,
    token: str | None = None,
    *,
    give_token: GiveToken | None = None,
) -> AsyncIterator[Seat]:
    """Connected. `stream` and `commands` are addresses of gateways: where the connection is, and
    where emulated transports post what the client says."""
    if cell.sdk == "python":

        async def token_of() -> str:
            assert give_token is not None
            return give_token()

        async with PythonClient(
            f"ws{stream.removeprefix('http')}/connection/websocket",
            token,
            get_token=token_of if give_token else None,
            protobuf=cell.protobuf,
        ) as python:
            yield PythonSeat(python)
        return
    base = f"ws{stream.removeprefix('http')}" if cell.transport == "websocket" else stream
    endpoint = f"{base}/connection/{cell.transport}"
    async with (
        JsClient(
            [{"transport": cell.transport, "endpoint": endpoint}],
            token or (give_token() if give_token else None),
            refresh=give_token is not None,
            protobuf=cell.protobuf,
            options={"emulationEndpoint": f"{commands}/emulation"},
        ) as js,
        contextlib.AsyncExitStack() as tasks,
    ):
        seat = JsSeat(js, tasks)
        if give_token is not None:
            await seat.answer("token_needed", give_token)
        yield seat
