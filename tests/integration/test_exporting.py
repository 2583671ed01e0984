"""Exports: all that is the member's in one ZIP, kept for a week."""

from __future__ import annotations

import errno
import os
import time
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import msgspec
import pytest

from actors.exporting import AccountExporter, ExportExpiry
from actors.job_tools import JobTools
from config.errors import AppError
from config.settings import Settings
from storage import account_tasks
from storage.account_tasks import Task, TaskJob
from storage.exports import PARTS
from storage.objects import Objects, export_key, objects_of
from storage.postgres import in_transaction
from tests.integration.content import Content, content_on
from tests.integration.leaving import FORMER, SECRET, Life, erase, leave, live

pytestmark = pytest.mark.integration


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as content:
        yield content


def tools_of(content: Content, data_dir: Path) -> JobTools:
    return JobTools(content.pool, lambda _: None, Settings(data_dir=str(data_dir)))


async def export(content: Content, life: Life, data_dir: Path) -> UUID:
    task = await in_transaction(
        content.pool, lambda connection: account_tasks.start(connection, life.id, "export")
    )
    await AccountExporter(tools_of(content, data_dir)).run(msgspec.json.encode(TaskJob(task.id)))
    return task.id


def file_of(data_dir: Path, id: UUID) -> Path:
    return objects_of(Settings(data_dir=str(data_dir))).file(export_key(id))


async def find(content: Content, id: UUID) -> Task | None:
    async with content.pool.acquire() as connection:
        return await account_tasks.find(connection, id, "export")


async def test_the_zip_holds_what_is_the_members_and_nothing_else(
    content: Content, tmp_path: Path
) -> None:
    life = await live(content)
    for _ in range(101):  # more than a page
        await content.comment(life.me, life.of_ben["id"], body=SECRET)
    id = await export(content, life, tmp_path)
    file = file_of(tmp_path, id)
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"{part.name}.json" for part in PARTS]
        parts: dict[str, Any] = {
            part.name: msgspec.json.decode(archive.read(f"{part.name}.json")) for part in PARTS
        }
    (profile,) = parts["profile"]
    assert (profile["handle"], profile["email"]) == ("anastasia", "anastasia@example.org")
    assert "password_hash" not in profile
    assert [post["title"] for post in parts["posts"]] == [f"Title {SECRET}", f"Removed {SECRET}"]
    assert parts["posts"][0]["former_texts"][0]["body_markdown"] == FORMER
    assert parts["posts"][0]["poll"] == {"question": FORMER, "options": ["a", "b"]}
    assert len(parts["comments"]) == 103
    assert [vote["target_id"] for vote in parts["votes"]] == [life.of_ben["id"]]
    assert len(parts["memberships"]) == 2
    assert {each["kind"] for each in parts["notifications"]} == {"reply"}
    assert parts["drafts"][0]["body_markdown"] == SECRET
    kept = ("saves", "followed_threads", "followed_communities", "muted_members",
            "muted_communities", "read_positions", "invitations", "join_requests",
            "timelines", "checklists")  # fmt: skip
    assert [len(parts[name]) for name in kept] == [1] * len(kept)
    assert parts["sessions"][0]["user_agent"] == SECRET
    assert "Thanks." not in str(parts)  # of others nothing
    task = await find(content, id)
    assert task is not None
    assert (task.status, task.size_bytes) == ("done", file.stat().st_size)
    assert task.done == task.total == sum(len(rows) for rows in parts.values())
    assert [path.name for path in file.parent.iterdir()] == [file.name]


async def test_a_file_goes_after_its_time(content: Content, tmp_path: Path) -> None:
    life = await live(content)
    id = await export(content, life, tmp_path)
    await ExportExpiry(tools_of(content, tmp_path)).run(b"")
    assert file_of(tmp_path, id).exists()
    await content.pool.execute("update account_task set expires_at = now()")
    await ExportExpiry(tools_of(content, tmp_path)).run(b"")
    assert not file_of(tmp_path, id).exists()
    assert await find(content, id) is None


async def test_a_file_goes_with_its_account(content: Content, tmp_path: Path) -> None:
    life = await live(content)
    id = await export(content, life, tmp_path)
    await erase(content, await leave(content, life), str(tmp_path))
    assert not file_of(tmp_path, id).exists()
    assert await find(content, id) is None


async def test_an_export_that_is_erased_meanwhile_leaves_no_file(
    content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await live(content)
    put_file = Objects.put_file

    async def erased_meanwhile(self: Objects, key: str, file: BinaryIO, kind: str) -> None:
        await content.pool.execute("delete from account_task")
        await put_file(self, key, file, kind)

    monkeypatch.setattr(Objects, "put_file", erased_meanwhile)
    id = await export(content, life, tmp_path)
    assert not file_of(tmp_path, id).exists()


async def test_what_attempts_left_is_swept(content: Content, tmp_path: Path) -> None:
    tools = tools_of(content, tmp_path)
    for age_days in (7, 9):
        file = file_of(tmp_path, UUID(int=age_days))
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"PK")
        then = time.time() - age_days * 86_400
        os.utime(file, (then, then))
    await ExportExpiry(tools).run(b"")
    assert [path.name for path in file.parent.iterdir()] == [f"{UUID(int=7)}.zip"]


async def test_without_room_for_its_file_an_export_waits(
    content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await live(content)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "open", full)
    with pytest.raises(AppError) as refused:
        await export(content, life, tmp_path)
    assert refused.value.retryable


async def test_the_state_of_a_task_is_that_of_its_job(content: Content) -> None:
    life = await live(content)
    task = await in_transaction(
        content.pool, lambda connection: account_tasks.start(connection, life.id, "export")
    )
    seen = [task.status]
    for status in ("picked", "failed", "queued"):
        await content.pool.execute(
            "update pgqueuer set status = $1::text::pgqueuer_status"
            " where entrypoint = 'export_account'",
            status,
        )
        found = await find(content, task.id)
        assert found is not None
        seen.append(found.status)
    assert seen == ["queued", "running", "failed", "queued"]
