"""Erasing an account: nothing of it is left, in steps, wherever they are cut off."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest

from actors.erasers import ERASERS
from actors.erasing import AccountEraser
from actors.job_tools import JobTools
from actors.messages import AcceptComment, ReadComments, ReadPost
from config.settings import Settings
from storage.anonymous import DELETED_AUTHOR
from tests.integration.content import RECEIVED_NS, Content, content_on
from tests.integration.leaving import FORMER, SECRET, erase, leave, live, mentions

pytestmark = pytest.mark.integration

ROOT: Final = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS: Final = 60.0

# Columns that hold an account's id and stay: with the reason.
EXCEPTIONS: Final = {
    "account.id": "the tombstone: the id, and a hash of the handle",
    "account_task.account_id": "the record of the erasure; exports are erased with their files",
}
# What an erased account is still found by.
LEFT: Final = {
    "account.id",
    "account_task.account_id",
    "stream.channel",  # its own, which nobody can read
    "stream_event.subject_id",  # the event there that ended its sessions
}
_NAMES_AN_ACCOUNT: Final = re.compile(
    r"((account|actor|author|editor|inviter|invitee|member|moderator|muted|owner|person|sender"
    r"|user|voter)(_id)?|.*_by)\Z"
)


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as content:
        yield content


async def test_every_column_that_names_an_account_is_erased(content: Content) -> None:
    rows = await content.pool.fetch(
        "select distinct k.relname || '.' || a.attname as name, a.attname as column,"
        " f.conrelid is not null as refers"
        " from pg_class k join pg_attribute a on a.attrelid = k.oid and a.attnum > 0"
        " left join pg_constraint f on f.conrelid = k.oid and f.contype = 'f'"
        "      and f.confrelid = 'account'::regclass and a.attnum = any(f.conkey)"
        " where k.relkind in ('r', 'p') and not k.relispartition"
        " and k.relnamespace = 'public'::regnamespace and a.atttypid = 'uuid'::regtype"
    )
    naming = {
        row["name"] for row in rows if row["refers"] or _NAMES_AN_ACCOUNT.match(row["column"])
    }
    covered = {eraser.rows for eraser in ERASERS if eraser.rows}
    covered |= {column for eraser in ERASERS for column in eraser.also}
    assert {"post.author_id", "post.deleted_by", "session.account_id"} <= naming
    assert naming - covered - EXCEPTIONS.keys() == set(), "give them an Eraser, actors/erasers.py"
    assert covered <= {row["name"] for row in rows}, "an Eraser of a column that is not there"


async def test_content_stands_without_its_author(content: Content, tmp_path: Path) -> None:
    life = await live(content)
    task_id = await leave(content, life)
    published = await erase(content, task_id, str(tmp_path))
    assert await mentions(content, str(life.id)) == LEFT
    for name in ("anastasia", "Anastasia@example.org"):
        assert await mentions(content, name) == set()
    post = content.body((await content.ask(ReadPost(life.ben, UUID(life.post["id"]))))[0])
    assert SECRET in post["body_markdown"]
    assert post["author"] == {
        "id": str(DELETED_AUTHOR), "handle": "deleted", "display_name": "deleted",
    }  # fmt: skip
    assert not post["deleted"]
    assert post["comment_count"] == 2
    # What they had removed themselves is emptied: nobody is left who could restore it.
    assert await content.pool.fetchval("select count(*) from post where title like 'Removed%'") == 0
    # Live copies are replaced, with the offsets they had.
    assert published
    assert not [p for p in published if b"anastasia" in p.data or str(life.id).encode() in p.data]
    assert await content.pool.fetchval(
        "select actor_id from notification where account_id = $1", life.ben.account_id
    ) == DELETED_AUTHOR  # fmt: skip


async def test_votes_go_and_counts_stay_members_go_and_counts_move(
    content: Content, tmp_path: Path
) -> None:
    life = await live(content)
    counted = "select member_count from community where slug = 'de-student'"
    before = await content.pool.fetchval(counted)
    await erase(content, await leave(content, life), str(tmp_path))
    assert await content.pool.fetchval(counted) == before - 1
    assert await content.pool.fetchval("select count(*) from vote") == 1  # Ben's
    up = await content.pool.fetchval("select up from post where id = $1", UUID(life.of_ben["id"]))
    assert up == 1


async def test_texts_go_where_the_member_chose_so(content: Content, tmp_path: Path) -> None:
    life = await live(content)
    task_id = await leave(content, life, erase_content=True)
    published = await erase(content, task_id, str(tmp_path))
    for word in (SECRET, FORMER, "anastasia"):
        assert await mentions(content, word) == set()
    assert await mentions(content, str(life.id)) == LEFT
    types: dict[str, list[str]] = {}
    for publication in published:
        kind = msgspec.json.decode(publication.data)["type"]
        types.setdefault(publication.channel.partition(":")[0], []).append(kind)
    # The removed post was told of before; on their own channel nothing is told any more.
    assert types["thread"].count("comment.deleted") == 2
    assert types["community"].count("post.deleted") == 1 + 1  # appended, and one overwritten
    reply = (
        await content.ask(ReadComments(life.ben, UUID(life.of_ben["id"]), "old", None, 100, None))
    )[0]
    assert [item["author"] for item in content.body(reply)["items"] if item["deleted"]] in (
        [], [None], [None, None],
    )  # fmt: skip
    assert await content.pool.fetchval(
        "select comment_count from post where id = $1", UUID(life.of_ben["id"])
    ) == 0  # fmt: skip


async def test_what_commits_after_a_short_erasure_goes_with_the_last_look(
    content: Content, tmp_path: Path
) -> None:
    """It asked whether the account stands before that one ended."""
    life = await live(content)
    async with content.pool.acquire() as slow:
        late = slow.transaction()
        await late.start()
        await slow.execute(
            "insert into draft (account_id, id, kind, title, body_markdown)"
            " values ($1, gen_random_uuid(), 'post', '', $2)",
            life.id,
            SECRET,
        )
        await slow.execute(
            "insert into vote (country_id, target_id, account_id, value) values (276, $1, $1, 1)",
            life.id,
        )
        task_id = await leave(content, life, erase_content=True)
        await erase(content, task_id, str(tmp_path))
        await late.commit()
    assert await mentions(content, str(life.id)) > LEFT
    row = await content.pool.fetchrow(
        "select payload, execute_after > now() + interval '1 minute' as later from pgqueuer"
        " where entrypoint = 'erase_account' and execute_after > now()"
    )
    assert row is not None and row["later"]
    tools = JobTools(content.pool, lambda _: None, Settings(data_dir=str(tmp_path)))
    for _ in range(2):
        await AccountEraser(tools).run(row["payload"])
    assert await mentions(content, str(life.id)) == LEFT
    assert await mentions(content, SECRET) == set()
    assert await content.pool.fetchval("select done = total from account_task")


async def test_a_post_whose_accepted_answer_goes_says_so(content: Content, tmp_path: Path) -> None:
    life = await live(content)
    post_id = UUID(life.of_ben["id"])
    answer = await content.comment(life.me, life.of_ben["id"], body=SECRET)
    accepted = AcceptComment(life.ben, post_id, UUID(answer["id"]), RECEIVED_NS)
    content.body((await content.ask(accepted))[0])
    published = await erase(content, await leave(content, life, erase_content=True), str(tmp_path))
    told = {}
    for publication in published:
        event = msgspec.json.decode(publication.data)
        if event["type"] == "post.updated" and event["post"]["id"] == str(post_id):
            told[publication.channel] = event["post"]
    channels = {f"thread:{post_id}", f"community:{life.of_ben['community_id']}"}
    assert told.keys() == channels
    (reply,) = await content.ask(ReadPost(life.ben, post_id))
    shown = content.body(reply)
    del shown["stream"]
    for post in told.values():
        assert post["accepted_comment_id"] is None
        # The whole post as it was then; the other answer may have gone after it.
        assert post | {"comment_count": 0} == shown
    # The removal is told to the thread alone.
    removals = [p.channel for p in published if b'"comment.deleted"' in p.data]
    assert f"thread:{post_id}" in removals
    assert not [channel for channel in removals if channel.startswith("community:")]


async def test_progress_runs_up_to_its_total(content: Content, tmp_path: Path) -> None:
    life = await live(content)
    task_id = await leave(content, life)
    read = "select done, total, finished_at is not null as finished from account_task"
    assert tuple((await content.pool.fetchrow(read) or {}).values()) == (0, 0, False)
    await erase(content, task_id, str(tmp_path))
    row: Any = await content.pool.fetchrow(read)
    assert row["finished"]
    assert row["done"] == row["total"] > 10


_CHILD: Final = """
import asyncio, sys
import msgspec
from actors.erasing import AccountEraser
from actors.job_tools import JobTools
from config.settings import Postgres, Settings
from storage.postgres import connect

async def main():
    settings = Postgres(statement_timeout_seconds=0)
    pool = await connect(sys.argv[1], settings, application_name="doomed")
    await AccountEraser(JobTools(pool, lambda _: None, Settings(data_dir=sys.argv[3]))).run(
        msgspec.json.encode({"task_id": sys.argv[2]}))

asyncio.run(main())
"""


@pytest.mark.parametrize("erase_content", [False, True])
async def test_an_erasure_whose_worker_is_killed_is_finished_by_another(
    content: Content, database_url: str, tmp_path: Path, erase_content: bool
) -> None:
    life = await live(content)
    for number in range(12):
        await content.comment(life.me, life.of_ben["id"], body=f"{number} {SECRET}")
    task_id = await leave(content, life, erase_content=erase_content)
    mine = "select count(*) from comment where author_id = $1"
    middle = await content.pool.fetchval(
        "select id from comment where author_id = $1 order by id offset 5 limit 1", life.id
    )
    async with content.pool.acquire() as barrier, asyncio.timeout(DEADLINE_SECONDS):
        lock = barrier.transaction()
        await lock.start()
        await barrier.execute("select from comment where id = $1 for update", middle)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _CHILD, database_url, str(task_id), str(tmp_path), cwd=ROOT
        )
        try:
            while not await content.pool.fetchval(
                "select count(*) from pg_stat_activity where datname = current_database()"
                " and application_name = 'doomed' and wait_event_type = 'Lock'"
            ):
                assert child.returncode is None, "the child has ended by itself"
                await asyncio.sleep(0.02)
        finally:
            if child.returncode is None:
                child.kill()
            await child.wait()
        left = await content.pool.fetchval(mine, life.id)
        assert 0 < left < 14
        await lock.rollback()
    await erase(content, task_id, str(tmp_path))
    assert await mentions(content, str(life.id)) == LEFT
    assert await content.pool.fetchval("select finished_at is not null from account_task")
    told = await content.pool.fetchval(
        'select count(*) from stream_event where payload like \'{"type":"comment.deleted"%\''
    )
    assert told == (15 if erase_content else 1)  # each once; one was removed before
    expected = 0 if erase_content else 13
    assert expected == await content.pool.fetchval(
        "select comment_count from post where id = $1", UUID(life.of_ben["id"])
    )
