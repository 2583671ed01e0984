"""Uploaded files, where it does not matter what keeps them: limits, attachments, jobs."""

from __future__ import annotations

import asyncio
import errno
import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from uuid import UUID

import aiohttp
import msgspec
import pytest
from PIL import Image

from actors.erasing import AccountEraser
from actors.exporting import AccountExporter
from actors.job_tools import JobTools
from actors.messages import (
    DeletePost,
    EditPost,
    MergePosts,
    MovePost,
)
from config.errors import AppError
from storage import account_tasks, media, objects
from storage.account_tasks import TaskJob
from storage.attachments import give_up
from storage.identity import new_id
from storage.media_removal import remove_files_of, remove_orphans
from storage.postgres import in_transaction
from tests import media_files as files
from tests.integration.content import RECEIVED_NS, create_post
from tests.integration.media_world import MediaWorld, check_all, folder, link

__all__ = ["folder"]

pytestmark = pytest.mark.integration
PHOTO = files.photograph()


async def test_only_the_author_s_own_files_are_shown(folder: MediaWorld) -> None:
    amina, bo = [await folder.content.member(name) for name in ("amina", "bo")]
    state = await folder.upload(amina, PHOTO)
    await folder.content.post(bo, body=link(state))
    assert (await folder.get(state["url"]))[0] == 404
    assert (await folder.get(state["url"], bo))[0] == 404
    # A refused write attaches nothing that lasts.
    await folder.pool.execute("update account set status = 'suspended' where handle = 'amina'")
    (outcome,) = await folder.content.ask(create_post(amina, body=link(state)))
    assert folder.content.code(outcome) == "suspended"
    assert (await folder.get(state["url"]))[0] == 404
    await check_all(folder)
    assert await folder.pool.fetchval("select count(*) from media_attachment") == 0
    assert await folder.pool.fetchval("select unattached_since is not null from media")


async def test_posts_gain_and_lose_files_by_editing(folder: MediaWorld) -> None:
    amina = await folder.content.member("amina")
    state = await folder.upload(amina, PHOTO)
    post = await folder.content.post(amina)

    async def edit(body: str) -> None:
        request = EditPost(amina, UUID(post["id"]), None, body, None, None, None, None, RECEIVED_NS)
        folder.content.body((await folder.content.ask(request))[0])

    for shown in (True, False, True):
        await edit(link(state) if shown else "Nothing here.")
        assert (await folder.get(state["url"]))[0] == (200 if shown else 404)
        attached = await folder.pool.fetchval("select unattached_since is null from media")
        assert attached is shown


async def test_limits_are_told_before_anything_is_sent(folder: MediaWorld) -> None:
    amina = await folder.content.member("amina")

    async def refused(size: int, kind: str = "image/png") -> tuple[int, str, str]:
        body = {"file_name": "x", "size_bytes": size, "content_type": kind}
        status, problem = await folder.call("POST", "/api/v1/media", amina, json=body)
        return status, problem.get("code", ""), problem.get("detail", "")

    assert (await refused(100_001))[:2] == (413, "too_large")
    assert (await refused(10, "image/svg+xml"))[:2] == (415, "unsupported_media_type")
    assert (await refused(0))[:2] == (400, "invalid")
    assert (await refused(100_000))[0] == 201
    status, code, detail = await refused(100_000)
    assert (status, code) == (429, "rate_limited")
    assert "150000 bytes" in detail
    assert (await refused(50_000))[0] == 201
    assert (await refused(1))[0] == 429
    bo = await folder.content.member("bo")
    assert await folder.announce(bo, b"x" * 100_000)


async def test_announcements_that_cross_share_one_quota(folder: MediaWorld) -> None:
    amina = await folder.content.member("amina")
    body = {"file_name": "x", "size_bytes": 60_000, "content_type": "image/png"}
    answers = await asyncio.gather(
        *(folder.call("POST", "/api/v1/media", amina, json=body) for _ in range(6))
    )
    assert sorted(status for status, _ in answers) == [201, 201, 429, 429, 429, 429]


async def test_completing_needs_the_bytes_and_the_owner(folder: MediaWorld) -> None:
    amina, bo = [await folder.content.member(name) for name in ("amina", "bo")]
    ticket = await folder.announce(amina, PHOTO)
    status, problem = await folder.complete(amina, ticket["id"])
    assert (status, problem["code"]) == (409, "conflict")
    assert (await folder.complete(bo, ticket["id"]))[0] == 404
    assert (await folder.complete(amina, str(new_id(0))))[0] == 404
    await folder.send(ticket, PHOTO)
    assert (await folder.complete(amina, ticket["id"]))[0] == 202
    assert (await folder.complete(amina, ticket["id"]))[0] == 202
    waiting = "select count(*) from pgqueuer where entrypoint = 'media'"
    assert await folder.pool.fetchval(waiting) == 1
    # Not ready: not even for its owner.
    assert (await folder.get(f"/api/v1/media/{ticket['id']}", amina))[0] == 404


async def test_a_file_that_is_removed_while_it_is_processed_stays_away(folder: MediaWorld) -> None:
    amina = await folder.content.member("amina")
    ticket = await folder.announce(amina, PHOTO)
    await folder.send(ticket, PHOTO)
    await folder.complete(amina, ticket["id"])
    assert amina.account_id is not None
    await remove_files_of(folder.pool, folder.objects, amina.account_id)
    await folder.work()
    assert await folder.keys() == set()
    assert await folder.pool.fetchval("select count(*) from media") == 0


async def test_a_body_beyond_the_announced_size_is_cut_off(folder: MediaWorld) -> None:
    """Streamed without a length, so that only counting tells."""
    amina = await folder.content.member("amina")
    ticket = await folder.announce(amina, PHOTO)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1_000):
            yield b"x" * 65_536

    url = ticket["upload"]["url"]
    try:
        async with folder.session.put(url, data=endless()) as response:
            assert response.status == 413
    except aiohttp.ClientError:
        pass  # cut off before the answer was read
    assert await folder.keys() == set()


async def test_what_is_handed_out_can_run_nothing(folder: MediaWorld) -> None:
    amina = await folder.content.member("amina")
    state = await folder.upload(amina, PHOTO)
    _, _, headers = await folder.get(state["url"], amina)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "private, max-age=60"
    await folder.content.post(amina, body=link(state))
    assert (await folder.get(state["url"]))[2]["Cache-Control"] == "public, s-maxage=1, max-age=60"
    async with folder.session.head(state["url"]) as response:
        assert (response.status, response.content_length) == (200, state["size_bytes"])
    status, _, headers = await folder.get(state["url"], Range="bytes=99999999-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{state['size_bytes']}")
    path = folder.objects.folder
    assert path is not None
    for original in path.glob("original/*/*"):
        original.unlink()
    assert (await folder.get(state["url"]))[0] == 404


async def test_a_store_that_is_gone_is_told(folder: MediaWorld) -> None:
    amina = await folder.content.member("amina")
    ticket = await folder.announce(amina, PHOTO)
    path = folder.objects.folder
    assert path is not None
    path.rmdir()
    path.write_text("no folder")
    assert await folder.send(ticket, PHOTO) == 503
    status, problem = await folder.complete(amina, ticket["id"])
    assert (status, problem["code"]) == (503, "unavailable")


async def test_uploads_that_were_never_completed_are_swept(folder: MediaWorld) -> None:
    amina = await folder.content.member("amina")
    ticket = await folder.announce(amina, PHOTO)
    await folder.send(ticket, PHOTO)
    assert await folder.keys()
    await folder.age(ticket["id"])
    await folder.pool.execute(
        "insert into draft (account_id, id, kind, title, body_markdown)"
        " values ($1, $1, 'post', '', $2)",
        amina.account_id,
        link(ticket),
    )
    await folder.jobs().tidy(b"")
    assert await folder.keys()  # a draft speaks of it
    await folder.pool.execute("delete from draft")
    await folder.age(ticket["id"])
    await folder.jobs().tidy(b"")
    assert await folder.keys() == set()


async def test_looking_at_a_file_asks_the_database_once(folder: MediaWorld) -> None:
    amina = await folder.content.member("amina")
    state = await folder.upload(amina, PHOTO)
    asked: list[str] = []
    async with folder.pool.acquire() as connection:
        connection.add_query_logger(lambda record: asked.append(record.query))
        for caller, readable in ((amina.account_id, True), (None, False)):
            with nullcontext() if readable else pytest.raises(AppError, match="not_found"):
                await media.find(connection, UUID(state["id"]), caller)
    # The pool resets what comes back.
    assert len([query for query in asked if not query.startswith("SELECT pg_advisory")]) == 2


async def test_files_go_where_their_thread_goes(folder: MediaWorld) -> None:
    amina = await folder.content.member("amina", role="admin")
    pictures = [files.picture(60 + n, 40, "PNG") for n in range(2)]
    states = [await folder.upload(amina, data, "image/png") for data in pictures]

    async def seen() -> list[int]:
        return [(await folder.get(state["url"]))[0] for state in states]

    post = await folder.content.post(amina, body=link(states[0]))
    await folder.content.comment(amina, post["id"], body=link(states[1]))
    (moved,) = await folder.content.ask(MovePost(amina, UUID(post["id"]), "fr", RECEIVED_NS))
    post = folder.content.body(moved)
    assert await seen() == [200, 200]
    other = await folder.content.post(amina, "fr")
    into = UUID(other["id"])
    (merged,) = await folder.content.ask(MergePosts(amina, UUID(post["id"]), into, RECEIVED_NS))
    assert folder.content.body(merged)["comment_count"] == 2
    assert await seen() == [200, 200]
    await check_all(folder)
    assert await seen() == [200, 200]
    # The one thread that shows them now goes for good, and they with it.
    await folder.content.ask(DeletePost(amina, into, RECEIVED_NS))
    assert await seen() == [404, 404]
    await in_transaction(folder.pool, lambda connection: give_up(connection, [into], 24))
    assert await remove_orphans(folder.pool, folder.objects, 24) == 2


async def test_a_crowd_of_guests_is_one_question(folder: MediaWorld) -> None:
    amina = await folder.content.member("amina")
    state = await folder.upload(amina, PHOTO)
    await folder.content.post(amina, body=link(state))
    folder.backends.requests.clear()

    async def look() -> int:
        async with folder.session.get(state["thumbnails"][0]["url"]) as response:
            await response.read()
            return response.status

    assert await asyncio.gather(*(look() for _ in range(50))) == [200] * 50
    assert len(folder.backends.requests) == 1


async def test_equal_files_that_are_processed_at_once_are_one_object(folder: MediaWorld) -> None:
    people = [await folder.content.member(name) for name in ("amina", "bo", "cho")]
    for person in people:
        ticket = await folder.announce(person, PHOTO)
        await folder.send(ticket, PHOTO)
        await folder.complete(person, ticket["id"])
    jobs = await folder.pool.fetch("select payload from pgqueuer where entrypoint = 'media'")
    await asyncio.gather(*(folder.jobs().process(job["payload"]) for job in jobs))
    assert await folder.pool.fetchval("select count(*) from media where state = 'ready'") == 3
    assert await folder.pool.fetchval("select count(*) from media_object") == 1
    assert len(await folder.keys()) == 3


async def test_a_full_store_is_told_and_keeps_nothing(
    folder: MediaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    amina = await folder.content.member("amina")
    ticket = await folder.announce(amina, PHOTO)

    async def full(path: Path, chunks: AsyncIterator[bytes], size: int) -> None:
        path.write_bytes(b"a part")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(objects, "_write", full)
        url = ticket["upload"]["url"]
        status, problem = await folder.call("PUT", url, None, data=PHOTO)
    assert (status, problem["code"]) == (503, "unavailable")
    assert "full" in problem["detail"]
    assert await folder.keys() == set()
    assert await folder.send(ticket, PHOTO) == 204


async def test_an_export_holds_the_files_and_an_erasure_takes_them(folder: MediaWorld) -> None:
    amina = await folder.content.member("amina")
    state = await folder.upload(amina, PHOTO, name="visa.jpg")
    await folder.content.post(amina, body=link(state))
    tools = JobTools(folder.pool, lambda _: None, folder.settings)
    account_id = amina.account_id
    assert account_id is not None
    task = await in_transaction(
        folder.pool, lambda connection: account_tasks.start(connection, account_id, "export")
    )
    await AccountExporter(tools).run(msgspec.json.encode(TaskJob(task.id)))
    with zipfile.ZipFile(folder.objects.file(objects.export_key(task.id))) as archive:
        (told,) = msgspec.json.decode(archive.read("files.json"))
        assert told["file_name"] == "visa.jpg"
        data = archive.read(f"files/{state['id']}-visa.jpg")
    assert Image.open(io.BytesIO(data)).size == (800, 1200)
    ended = await account_tasks.erase_handle(folder.pool, "amina", erase_content=False)
    await AccountEraser(tools).run(msgspec.json.encode(TaskJob(ended)))
    assert await folder.keys() == set()
    assert await folder.pool.fetchval("select count(*) from media") == 0


async def test_a_worker_that_dies_between_storing_and_committing_leaves_no_trace(
    folder: MediaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    amina = await folder.content.member("amina")
    ticket = await folder.announce(amina, PHOTO)
    await folder.send(ticket, PHOTO)
    await folder.complete(amina, ticket["id"])
    payload = await folder.pool.fetchval("select payload from pgqueuer where entrypoint = 'media'")

    async def die(*_: object) -> None:
        raise ConnectionAbortedError

    with monkeypatch.context() as patched, pytest.raises(AppError, match="unavailable"):
        patched.setattr(media, "add_object", die)
        await folder.jobs().process(payload)
    assert (await folder.complete(amina, ticket["id"]))[1]["status"] == "processing"
    await folder.jobs().process(payload)
    assert (await folder.complete(amina, ticket["id"]))[1]["status"] == "ready"
    assert len(await folder.keys()) == 3
