"""Every kind of job, run twice with the same payload: the second run changes nothing.

A case prepares the database and returns the payload. Add one with each row of ENTRYPOINTS.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest

from actors.job_table import ENTRYPOINTS
from actors.job_tools import JobTools
from actors.shard_messages import Publication
from config.settings import Postgres, Settings
from storage import account_tasks, media
from storage.postgres import Pool, in_transaction
from tests.integration.content import Content, content_on
from tests.integration.leaving import leave, live
from tests.integration.search_world import search_on

pytestmark = pytest.mark.integration

Case = Callable[[Content], Awaitable[object]]


async def _notify(content: Content) -> object:
    ana, ben = await content.member("ana"), await content.member("ben")
    post = await content.post(ana)
    comment = await content.comment(ben, post["id"], body="Ask @ana.")
    return {"comments": [{"id": comment["id"]}], "posts": [UUID(post["id"])]}


async def _derive(content: Content) -> object:
    ana = await content.member("ana")
    post = await content.post(ana, body="Guaranteed visa, we sell slots. Pay 200 USDT on Telegram.")
    comment = await content.comment(ana, post["id"], body="DM me, pay by Western Union today!!!")
    return {"posts": [post["id"]], "comments": [comment["id"]]}


async def _summarise(content: Content) -> object:
    ana = await content.member("ana")
    post = await content.post(ana)
    for n in range(10):
        await content.comment(ana, post["id"], body=f"It took {n} weeks until the visa came.")
    return {"post_id": post["id"]}


async def _translate(content: Content) -> object:
    """Of a text that is gone: there is nothing to ask a model."""
    ana = await content.member("ana")
    id = UUID((await content.post(ana))["id"])
    await content.pool.execute("update post set deleted_at = now()")
    await content.pool.execute(
        "insert into translation (target_id, language, revision, state)"
        " values ($1, 'de', 1, 'pending')",
        id,
    )
    return {"target_id": id, "is_post": True, "language": "de", "account_id": ana.account_id}


async def _maintain_streams(content: Content) -> object:
    await content.pool.execute(
        "create table stream_event_20200101 (like stream_event including defaults)"
    )
    return None


async def _forget_sessions(content: Content) -> object:
    ana = await content.member("ana")
    await content.pool.execute(
        "insert into session (id, account_id, token_hash, expires_at)"
        " values ($1, $1, 'x', now() - interval '31 days')",
        ana.account_id,
    )
    return None


async def _forget_idempotency(content: Content) -> object:
    await content.post(await content.member("ana"), key="old")
    await content.pool.execute("update idempotency set created_at = now() - interval '25 hours'")
    return None


async def _trim_jobs(content: Content) -> object:
    await content.pool.execute(
        "insert into pgqueuer_log (created, job_id, status, priority, entrypoint)"
        " values (now() - interval '11 minutes', 1, 'successful', 0, 'notify')"
    )
    return None


async def _purge_removed(content: Content) -> object:
    ana = await content.member("ana")
    post = await content.post(ana)
    await content.comment(ana, post["id"])
    for table in ("post", "comment"):
        await content.pool.execute(f"update {table} set deleted_at = now() - interval '31 days'")
    return None


async def _forget_records(content: Content) -> object:
    await content.pool.execute(
        "insert into community_log (community_id, action, created_at)"
        " select id, 'created', now() - interval '366 days' from community limit 1"
    )
    return None


async def _erase_account(content: Content) -> object:
    return {"task_id": await leave(content, await live(content), erase_content=True)}


async def _export_account(content: Content) -> object:
    life = await live(content)
    task = await in_transaction(
        content.pool, lambda connection: account_tasks.start(connection, life.id, "export")
    )
    return {"task_id": task.id}


async def _expire_exports(content: Content) -> object:
    await _export_account(content)
    await content.pool.execute(
        "update account_task set finished_at = now(), expires_at = now() - interval '1 second'"
    )
    return None


async def _index(content: Content) -> object:
    ana = await content.member("ana")
    post = await content.post(ana)
    return {"comments": [(await content.comment(ana, post["id"]))["id"]], "threads": [post["id"]]}


async def _fill_search(content: Content) -> object:
    await content.post(await content.member("ana"))
    return None


async def _media(content: Content) -> object:
    """Whose upload is gone: it is refused."""
    ana = await content.member("ana")
    assert ana.account_id is not None
    id = await media.create(content.pool, ana.account_id, "x.png", "image/png", 10, 10_000)
    await content.pool.execute("update media set state = 'processing'")
    return {"media_id": id}


async def _tidy_files(content: Content) -> object:
    await _media(content)
    await content.pool.execute("update media set unattached_since = now() - interval '25 hours'")
    return None


async def _embed(content: Content) -> object:
    post = await content.post(await content.member("ana"))
    return {"posts": [post["id"]]}


async def _fill_embeddings(content: Content) -> object:
    await _embed(content)
    return {"generation": 1, "step": 0}


async def _check_links(content: Content) -> object:
    """Nobody is asked: what is done is bookkeeping."""
    await content.pool.execute("insert into official_link (url) values ('https://gone.example/')")
    return None


CASES: Final[dict[str, Case]] = {
    "notify": _notify,
    "derive": _derive,
    "summarise": _summarise,
    "translate": _translate,
    "erase_account": _erase_account,
    "export_account": _export_account,
    "expire_exports": _expire_exports,
    "maintain_streams": _maintain_streams,
    "forget_sessions": _forget_sessions,
    "forget_idempotency": _forget_idempotency,
    "purge_removed": _purge_removed,
    "forget_records": _forget_records,
    "trim_jobs": _trim_jobs,
    "media": _media,
    "tidy_files": _tidy_files,
    "check_links": _check_links,
    "embed": _embed,
    "fill_embeddings": _fill_embeddings,
    "index": _index,
    "fill_search": _fill_search,
}


async def snapshot(pool: Pool) -> dict[str, list[str]]:
    """Every row of every table; the queue's too, where a handler enqueues what comes next."""
    tables = await pool.fetch(
        "select c.oid::regclass::text as name from pg_class c"
        " where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace"
    )
    return {
        table["name"]: [
            row["row"]
            for row in await pool.fetch(
                f"select to_jsonb(t)::text as row from {table['name']} t order by 1"
            )
        ]
        for table in tables
    }


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as content:
        yield content


def test_every_kind_of_job_has_a_case() -> None:
    assert set(CASES) == {entry.name for entry in ENTRYPOINTS}
    assert len(CASES) == len(ENTRYPOINTS)


@pytest.mark.parametrize("entry", ENTRYPOINTS, ids=lambda entry: str(entry.name))
async def test_the_second_run_changes_nothing(
    content: Content, database_url: str, entry: Any, tmp_path: Path
) -> None:
    published: list[Publication] = []
    settings = Settings(data_dir=str(tmp_path), postgres=Postgres(url=database_url))
    async with search_on(content, tmp_path / "search") as search:
        payload = msgspec.json.encode(await CASES[entry.name](content))
        handler = entry.make(JobTools(content.pool, published.extend, settings, search))

        async def everything() -> tuple[dict[str, list[str]], int]:
            return await snapshot(content.pool), await search.documents()

        before = await everything()
        await handler(payload)
        first, count = await everything(), len(published)
        assert first != before, "the case gives the job nothing to do"
        await handler(payload)
        assert await everything() == first
        assert len(published) == count
