"""The starter content in a database of its own, with vectors and index; an Assistant over it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from actors.assistant import Assistant, Retrieve
from actors.assistant_messages import AnswerEvent, AskQuestion
from actors.by_words import EngineWords
from actors.embedding import Embedders, EmbeddingJobs
from actors.messages import Reply
from actors.retrieval import Retriever
from actors.retrieval_messages import Passage, RetrievalQuery
from actors.search import Search
from actors.search_messages import Filled, FillIndex
from actors.writing import Writer
from benchmarks.obeying_model import Attack
from config.assistant import Assistant as AssistantSettings
from config.settings import Settings
from serve_app.importing import import_dump
from storage.chunk_search import SEARCH_SETTINGS
from storage.embedded.postgres import EmbeddedPostgres
from storage.migrate import migrate
from storage.postgres import Pool, connect
from storage.search.engines import open_engine
from storage.seed import seed

STARTER: Final = Path(__file__).resolve().parent.parent / "config" / "starter"
TODAY: Final = date(2026, 11, 29)
"""Of the starter content."""
_AT_ONCE: Final = 16


class _Thread(msgspec.Struct, frozen=True):
    id: str
    title: str
    accepted_comment: str | None = None


class World:
    """`reference` of a document is its id in the starter files; "" for what has none there."""

    def __init__(self, pool: Pool, retriever: Retriever, references: dict[UUID, str]) -> None:
        self._pool = pool
        self._retriever = retriever
        self._references = references

    def reference(self, id: UUID) -> str:
        return self._references.get(id, "")

    async def retrieve(self, query: RetrievalQuery) -> Sequence[Passage]:
        return await self._retriever.find(query)

    async def ask(
        self, request: AskQuestion, model: Writer, retrieve: Retrieve | None = None
    ) -> list[AnswerEvent]:
        assistant = Assistant(
            self._pool, retrieve or self.retrieve, model, AssistantSettings(), lambda: TODAY
        )
        async with aclosing(assistant.ask(request)) as events:
            return [event async for event in events]

    async def attacked(self, attack: Attack) -> Retrieve:
        """Retrieval that finds the attack before all else, as the text of a real post."""
        row = await self._pool.fetchrow(
            "select id, revision, visa_type from post where title like 'Timeline: Mumbai%'"
        )
        assert row is not None
        true = "The blocked account needs 11,904 euros a year."
        title = attack.text if attack.where == "title" else "The blocked account, what I learned"
        text = true if attack.where == "title" else f"{true}\n\n{attack.text}"
        planted = Passage(
            "post", row["id"], None, "DE", row["visa_type"], title, f"/posts/{row['id']}",
            "community", "en", None, False, datetime.now(UTC), text, 1.0, row["revision"],
        )  # fmt: skip

        async def retrieve(query: RetrievalQuery) -> Sequence[Passage]:
            return [planted, *await self.retrieve(query)]

        return retrieve

    async def forget_answers(self) -> None:
        await self._pool.execute("delete from answer")


Say = Callable[[str], None]


@asynccontextmanager
async def evaluation_world(say: Say, kept: Path | None) -> AsyncIterator[World]:
    """In the folder `kept`, which spares the next run the vectors, or in one that is removed. Ends
    all that it has started. Raises AppError."""
    async with AsyncExitStack() as stack:
        if kept is None:
            directory = Path(tempfile.mkdtemp(prefix="se-"))
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
        else:
            directory = kept
            directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)  # started by root, Postgres runs as another user
        server = EmbeddedPostgres(directory / "postgres", durable=False)
        url = await server.start()
        stack.push_async_callback(server.close)
        await migrate(url)
        settings = Settings(data_dir=str(directory))
        pool = await connect(url, settings.postgres, application_name="evaluation")
        stack.push_async_callback(pool.close)
        async with pool.acquire() as connection:
            await seed(connection)
        say("importing the starter content")
        await import_dump(STARTER, url)
        chunks = await connect(
            url, settings.postgres, application_name="vectors", more_settings=SEARCH_SETTINGS
        )
        stack.push_async_callback(chunks.close)
        embedders = Embedders(settings.embedding, in_background=False)
        stack.callback(embedders.close)
        await _embed(pool, EmbeddingJobs(pool, settings.embedding, embedders), say)
        # Its model is loaded by the first question, as after a start.
        asked = Embedders(settings.embedding, in_background=False)
        stack.callback(asked.close)
        engine = open_engine(settings)
        stack.push_async_callback(engine.close)
        retriever = Retriever(
            chunks, asked, EngineWords(pool, engine), settings.guides, lambda: TODAY
        )
        search = Search(pool, engine, settings.guides, retriever)
        search.start()
        stack.push_async_callback(search.close)
        await search.wait_settled()
        await _fill(search)
        yield World(pool, retriever, await _references(pool))


async def _embed(pool: Pool, jobs: EmbeddingJobs, say: Say) -> None:
    for table, kind in (("guide", "guides"), ("post", "posts")):
        ids = [row["id"] for row in await pool.fetch(f"select id from {table} order by id")]
        for at in range(0, len(ids), _AT_ONCE):
            say(f"vectors of {kind}: {at} of {len(ids)}")
            await jobs.embed(msgspec.json.encode({kind: ids[at : at + _AT_ONCE]}))


async def _fill(search: Search) -> None:
    while True:
        (reply,) = await search.handle_batch([FillIndex()])
        assert isinstance(reply, Reply), reply
        if msgspec.json.decode(reply.body, type=Filled).done:
            return


async def _references(pool: Pool) -> dict[UUID, str]:
    decode = msgspec.json.Decoder(_Thread).decode
    lines = (STARTER / "threads.jsonl").read_bytes().splitlines()
    threads = {thread.title: thread for thread in map(decode, lines)}
    found: dict[UUID, str] = {}
    for row in await pool.fetch("select id, title, accepted_comment_id from post"):
        thread = threads.get(row["title"])
        if thread is not None:
            found[row["id"]] = thread.id
            if thread.accepted_comment is not None:
                found[row["accepted_comment_id"]] = thread.accepted_comment
    for row in await pool.fetch("select id, reference from guide"):
        found[row["id"]] = row["reference"]
    return found
