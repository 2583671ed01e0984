"""What search reads in Postgres: the partition of one country, by an index."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from actors.messages import Caller
from storage.postgres import Pool
from storage.search.derived import enqueue_derived
from storage.search.documents import comments_of, posts_of, read_documents, read_page
from storage.search.engine import Hit
from storage.search.found import read_found
from storage.search.index_jobs import IndexJob
from tests.integration.test_hot_queries import GERMANY, Explained, content, scans, scene

__all__ = ["content", "scene"]

pytestmark = pytest.mark.integration

FIRST, LAST = UUID(int=0), UUID(int=(1 << 128) - 1)


async def test_what_is_indexed_and_what_was_found_are_read_by_id(
    scene: tuple[Explained, Caller, Any, Any],
) -> None:
    explained, ada, post, comment = scene
    post_id, comment_id = UUID(post["id"]), UUID(comment["id"])
    hits = [Hit(post_id, "post", 1.0), Hit(comment_id, "comment", 1.0)]

    async def ask(pool: Pool) -> None:
        async with pool.acquire() as connection:
            assert len(await read_documents(connection, [post_id], [comment_id], [])) == 2
            assert await comments_of(connection, post_id, FIRST, 10) == [comment_id]
            assert len(await posts_of(connection, UUID(post["community_id"]), LAST, 10)) == 3
            for account_id in (None, ada.account_id):
                assert len(await read_found(connection, hits, account_id)) == 2
            await enqueue_derived(connection, IndexJob(posts=[post_id], comments=[comment_id]))

    plans = await explained.plans(ask)
    found = [scan for plan in plans for scan in scans(plan)]
    assert {relation for _, relation in found} == {f"post{GERMANY}", f"comment{GERMANY}"}
    for node, relation in found:
        assert "Index" in node or node == "Bitmap Heap Scan", (node, relation)


@pytest.mark.parametrize("kind", ["post", "comment", "guide"])
async def test_a_page_of_everything_is_read_by_primary_keys(
    scene: tuple[Explained, Caller, Any, Any], kind: Any
) -> None:
    explained, _, _, _ = scene

    async def ask(pool: Pool) -> None:
        async with pool.acquire() as connection:
            await read_page(connection, kind, (-1, FIRST), 2)

    (plan,) = await explained.plans(ask)
    for node, relation in scans(plan):
        assert "Index" in node, (node, relation)
