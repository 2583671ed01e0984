"""The backends as they answer whoever must not be shown an older state than some position's."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from msgspec.structs import replace

from actors.assistant_messages import AnswerEvent, AskQuestion, AssistantRequest
from actors.messages import (
    Reply,
    ThreadRead,
    ThreadWrite,
)
from actors.people_messages import PeopleRead, PeopleWrite
from actors.public_messages import PublicRead
from actors.search_messages import SearchRequest
from serve_app.gateway.backends import Backends


class AtPosition:
    """`Backends` whose reads carry the position, so that no handler can forget it."""

    def __init__(self, backends: Backends, position: int) -> None:
        self._backends = backends
        self._position = position

    async def thread_write(self, request: ThreadWrite) -> Reply:
        return await self._backends.thread_write(request)

    async def thread_read(self, request: ThreadRead) -> Reply:
        return await self._backends.thread_read(replace(request, position=self._position))

    async def feed(self, request: PublicRead) -> Reply:
        return await self._backends.feed(replace(request, position=self._position))

    # Accounts, Search and the assistant read from the primary.

    async def accounts_read(self, request: PeopleRead) -> Reply:
        return await self._backends.accounts_read(request)

    async def accounts_write(self, request: PeopleWrite) -> Reply:
        return await self._backends.accounts_write(request)

    async def search(self, request: SearchRequest) -> Reply:
        return await self._backends.search(request)

    async def assistant(self, request: AssistantRequest) -> Reply:
        return await self._backends.assistant(request)

    def ask(self, request: AskQuestion) -> AsyncGenerator[AnswerEvent, None]:
        return self._backends.ask(request)
