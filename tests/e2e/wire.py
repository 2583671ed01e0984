"""A wire between a client and the server that a test can cut and mend."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

_CHUNK_BYTES: Final = 65_536


class Wire:
    """Forwards TCP to the address of `url`. While it is cut, open connections are reset and new
    ones end at once: the client notices, retries and finds nobody."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        assert target.hostname is not None and target.port is not None
        self._target = (target.hostname, target.port)
        self._url = url
        self._open: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._cut = False
        self._server: asyncio.Server
        self.refused = 0

    @property
    def url(self) -> str:
        """The same URL through the wire."""
        port = self._server.sockets[0].getsockname()[1]
        return self._url.replace(f":{self._target[1]}", f":{port}", 1)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Returns when nothing is open any more."""
        self._cut = True
        tasks = list(self._open)
        for writers in self._open.values():
            for writer in writers:
                writer.transport.abort()
        if tasks:
            await asyncio.wait(tasks)

    def mend(self) -> None:
        self._cut = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            self.refused += 1
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        writers = self._open[task] = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            writers.append(far_writer)
            if self._cut:
                return
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, far_writer))
                group.create_task(_pump(far_reader, writer))
        except OSError:
            pass  # the server is away: the client sees its connection end
        finally:
            del self._open[task]
            for each in writers:
                each.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
