"""What is computed from texts is read and kept by keys, in one country's partitions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.deriving import Deriver
from actors.feed import Feed
from actors.feed_messages import ListSignals
from actors.messages import Caller, ReadSummary, ReadTranslation, Reply
from actors.thread import Thread
from storage import translations
from storage.directory import Directory
from storage.postgres import Pool
from storage.summaries import FIRST_COMMENTS, read_grown, write_summary
from tests.integration.content import Content, RecordingPublisher
from tests.integration.test_hot_queries import GERMANY, Explained, content, scans, scene

__all__ = ["content", "scene"]

pytestmark = pytest.mark.integration

TABLES = ("post_", "comment_", "chunk_", "moderation_signal", "thread_summary", "translation")


async def test_each_statement_reads_one_country_by_an_index(
    scene: tuple[Explained, Caller, Any, Any], content: Content
) -> None:
    explained, ada, post, comment = scene
    assert ada.account_id is not None
    id, account_id = UUID(post["id"]), ada.account_id
    await content.pool.execute("update account set role = 'moderator' where id = $1", account_id)
    await content.pool.execute("update post set comment_count = $1", FIRST_COMMENTS)
    directory = Directory(content.pool)

    async def use(pool: Pool) -> None:
        job = {"posts": [id], "comments": [comment["id"]], "threads": [id]}
        await Deriver(pool).run(msgspec.json.encode(job))
        async with pool.acquire() as connection:
            thread = await read_grown(connection, id)
            assert thread is not None and thread.comments
            assert await write_summary(connection, thread, "extractive", "", "en", [])
            text = await translations.read_text(connection, UUID(comment["id"]), False)
            assert text is not None
            await translations.ask(connection, text, "de", account_id)
            done = translations.Translated("ready", "test")
            assert await translations.settle(connection, text, "de", done)
        asked = (
            ListSignals(ada, community, None, 0.0, 30, None) for community in (None, "de-student")
        )
        feed, thread_actor = Feed(pool, directory), Thread(pool, directory, RecordingPublisher())
        for outcome in [
            *await feed.handle_batch(list(asked)),
            *await thread_actor.handle_batch(
                [
                    ReadSummary(ada, id),
                    ReadTranslation(ada, "comment", UUID(comment["id"]), "de"),
                ]
            ),
        ]:
            assert isinstance(outcome, Reply), outcome

    found = [scan for plan in await explained.plans(use) for scan in scans(plan, TABLES)]
    seen = {relation for _, relation in found}
    assert {f"post{GERMANY}", f"comment{GERMANY}", *TABLES[3:]} <= seen
    for node, relation in found:
        assert relation.endswith(GERMANY) or relation in TABLES, relation
        assert "Index" in node or node in ("Bitmap Heap Scan", "ModifyTable"), (node, relation)
