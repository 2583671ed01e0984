"""Uploaded files from the announcement to the last copy, in a folder and in a real S3 bucket."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from PIL import Image

from actors.messages import (
    Caller,
    DeleteComment,
    DeletePost,
    EditComment,
    EditPost,
    MergePosts,
    MovePost,
)
from config.errors import AppError
from config.media import Objects as ObjectSettings
from storage import bucket_rules, media
from storage.attachments import check
from storage.identity import new_id
from storage.media_removal import remove_files_of, remove_orphans
from storage.memberships import grant
from storage.objects import Objects
from storage.presigning import presign
from tests import media_files as files
from tests.integration.content import RECEIVED_NS, content_on, create_post
from tests.integration.media_world import MediaWorld, media_world
from tests.s3_server import S3ForTests

pytestmark = pytest.mark.integration
PHOTO = files.photograph()


@pytest.fixture(scope="module")
def s3() -> Iterator[S3ForTests]:
    with S3ForTests() as server:
        yield server


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectSettings:
    """A folder or a part of the bucket that nobody else uses."""
    if request.param == "folder":
        return ObjectSettings(url=(tmp_path / "objects").as_uri())
    server: S3ForTests = request.getfixturevalue("s3")
    return server.settings(prefix=new_id(0).hex)


@pytest.fixture
async def world(database_url: str, store: ObjectSettings) -> AsyncIterator[MediaWorld]:
    async with content_on(database_url) as content, media_world(content, store) as world:
        yield world


@pytest.fixture
async def folder(database_url: str, tmp_path: Path) -> AsyncIterator[MediaWorld]:
    """Small limits, and no bucket."""
    store = ObjectSettings(url=(tmp_path / "objects").as_uri())
    limits = {"max_file_bytes": 100_000, "bytes_per_day": 150_000}
    async with content_on(database_url) as content, media_world(content, store, **limits) as world:
        yield world


def link(media: dict[str, Any]) -> str:
    return f"![photo](/media/{media['id']})"


async def private_post(world: MediaWorld, caller: Caller, body: str) -> Any:
    id = new_id(0)
    await world.pool.execute(
        "with s as (insert into stream (channel) select 'community:' || $1::uuid returning id)"
        " insert into community (id, country_id, slug, name, kind, visibility, stream_id)"
        " select $1, 0, 'closed', 'closed', 'group', 'private', id from s",
        id,
    )
    await grant(world.pool, caller.handle, "member", "closed")
    return await world.content.post(caller, "closed", body=body)


async def test_a_photograph_goes_all_the_way(world: MediaWorld) -> None:
    amina = await world.content.member("amina")
    state = await world.upload(amina, PHOTO, name="my visa.jpg")
    assert state["status"] == "ready", state
    assert (state["content_type"], state["width"], state["height"]) == ("image/jpeg", 800, 1200)
    assert [(t["size"], t["width"], t["height"]) for t in state["thumbnails"]] == [
        (960, 640, 960),
        (320, 213, 320),
    ]
    # Nobody but its owner, until a post shows it.
    status, body, headers = await world.get(state["url"], amina)
    assert status == 200
    assert Image.open(io.BytesIO(body)).size == (800, 1200)
    assert files.CAMERA.encode() not in body
    assert headers["Content-Type"] == "image/jpeg"
    assert headers["Content-Disposition"].startswith('inline; filename="my visa.jpg"')
    assert len(body) == state["size_bytes"]
    for stranger in (None, await world.content.member("bo")):
        assert (await world.get(state["url"], stranger))[0] == 404
        assert (await world.get(state["thumbnails"][0]["url"], stranger))[0] == 404
    post = await world.content.post(amina, body=f"Look: {link(state)}")
    assert f"/api/v1/media/{state['id']}/thumbnails/960" in post["body_html"]
    assert (await world.get(state["url"]))[0] == 200
    status, body, headers = await world.get(state["thumbnails"][1]["url"])
    assert (status, headers["Content-Type"]) == (200, "image/webp")
    assert Image.open(io.BytesIO(body)).size == (213, 320)
    status, part, headers = await world.get(state["url"], Range="bytes=2-9")
    assert (status, len(part)) == (206, 8)
    assert headers["Content-Range"] == f"bytes 2-9/{state['size_bytes']}"
    etag = headers["ETag"]
    assert (await world.get(state["url"], **{"If-None-Match": etag}))[0] == 304
    assert len(await world.keys()) == 3  # the upload itself is gone


async def test_equal_files_are_one_object_until_the_last_of_them_goes(world: MediaWorld) -> None:
    people = [await world.content.member(name) for name in ("amina", "bo")]
    first, second = [await world.upload(person, PHOTO) for person in people]
    assert first["id"] != second["id"]
    objects = await world.keys()
    assert len(objects) == 3
    await world.age(first["id"])
    assert await remove_orphans(world.pool, world.objects, 24) == 1
    assert await world.keys() == objects
    assert (await world.get(second["url"], people[1]))[0] == 200
    assert (await world.get(first["url"], people[0]))[0] == 404
    await world.age(second["id"])
    assert await remove_orphans(world.pool, world.objects, 24) == 1
    assert await world.keys() == set()
    assert await world.pool.fetchval("select count(*) from media_object") == 0


async def test_what_is_bad_is_refused_with_the_reason_and_leaves_nothing(world: MediaWorld) -> None:
    amina = await world.content.member("amina")
    state = await world.upload(amina, b"<svg onload=alert(1)>", "image/png")
    assert (state["status"], state["thumbnails"]) == ("refused", [])
    assert "Only JPEG" in state["reason"]
    assert (await world.get(state["url"], amina))[0] == 404
    assert await world.keys() == set()


async def test_a_document_is_saved_and_never_shown(world: MediaWorld) -> None:
    amina = await world.content.member("amina")
    state = await world.upload(amina, files.document(3), "application/pdf", "Brief für José.pdf")
    assert (state["status"], state["pages"]) == ("ready", 3), state
    status, body, headers = await world.get(state["url"], amina)
    assert (status, body[:5]) == (200, b"%PDF-")
    disposition = headers["Content-Disposition"]
    assert disposition.startswith('attachment; filename="Brief f_r Jos_.pdf"')
    assert "filename*=UTF-8''Brief%20f%C3%BCr%20Jos%C3%A9.pdf" in disposition
    assert (await world.get(f"{state['url']}/thumbnails/320", amina))[0] == 404


async def test_a_file_is_visible_to_whom_its_content_is(world: MediaWorld) -> None:
    amina, bo = [await world.content.member(name) for name in ("amina", "bo")]
    state = await world.upload(amina, PHOTO)
    post = await private_post(world, amina, body=link(state))
    assert (await world.get(state["url"], bo))[0] == 404
    assert (await world.get(state["url"]))[0] == 404
    await grant(world.pool, "bo", "member", "closed")
    assert (await world.get(state["url"], bo))[0] == 200
    # A second place makes it public; that place alone can end it again.
    open_post = await world.content.post(amina)
    comment = await world.content.comment(amina, open_post["id"], body=link(state))
    assert (await world.get(state["url"]))[0] == 200
    edit = EditComment(amina, UUID(comment["id"]), "Without.", RECEIVED_NS)
    world.content.body((await world.content.ask(edit))[0])
    assert (await world.get(state["url"]))[0] == 404
    back = EditComment(amina, UUID(comment["id"]), link(state), RECEIVED_NS)
    world.content.body((await world.content.ask(back))[0])
    assert (await world.get(state["url"]))[0] == 200
    await world.content.ask(DeleteComment(amina, UUID(comment["id"]), RECEIVED_NS))
    assert (await world.get(state["url"]))[0] == 404
    assert (await world.get(state["url"], bo))[0] == 200
    await world.content.ask(DeletePost(amina, UUID(post["id"]), RECEIVED_NS))
    assert (await world.get(state["url"], bo))[0] == 404
    assert (await world.get(state["url"], amina))[0] == 200


async def test_addresses_can_be_neither_changed_nor_kept(
    world: MediaWorld, store: ObjectSettings
) -> None:
    amina = await world.content.member("amina")
    ticket = await world.announce(amina, PHOTO)
    upload = dict(ticket["upload"])

    async def sent(url: str, data: bytes = PHOTO, kind: str = "image/jpeg") -> int:
        changed = {"upload": {**upload, "url": url, "headers": {"Content-Type": kind}}}
        return await world.send(changed, data)

    url = upload["url"]
    assert await sent(url[:-3] + ("000" if not url.endswith("000") else "111")) == 403
    other = await world.announce(amina, PHOTO)
    assert await sent(url.replace(ticket["id"], other["id"])) == 403
    assert await sent(url, PHOTO + b"x") in (403, 413)
    assert await sent(url, PHOTO[:-1]) in (400, 403)
    if world.objects.bucket is None:
        assert await sent(url.replace(f"size={len(PHOTO)}", "size=99999999")) == 403
    else:
        assert await sent(url, kind="text/html") == 403
        before = datetime.now(UTC) - timedelta(hours=2)
        key = f"{world.objects.prefix}original/x"
        late = presign(world.objects.bucket, "PUT", key, 60, before)
        assert await world.send({"upload": {**upload, "url": late, "headers": {}}}, b"x") == 403
    assert await world.keys() == set()
    assert await sent(url) in (200, 204)


async def test_removed_content_lets_its_files_go_after_a_day(world: MediaWorld) -> None:
    amina = await world.content.member("amina")
    state = await world.upload(amina, PHOTO)
    post = await world.content.post(amina, body=link(state))
    await world.age(state["id"])  # it is attached: nothing to age
    await check_all(world)
    assert await remove_orphans(world.pool, world.objects, 24) == 0
    await world.content.ask(DeletePost(amina, UUID(post["id"]), RECEIVED_NS))
    assert await remove_orphans(world.pool, world.objects, 24) == 0
    # Brought back before the day is over: nothing has happened to it.
    await world.pool.execute("update post set deleted_at = null")
    await check_all(world)
    assert (await world.get(state["url"]))[0] == 200
    await world.content.ask(DeletePost(amina, UUID(post["id"]), RECEIVED_NS))
    await check_all(world)
    assert await remove_orphans(world.pool, world.objects, 24) == 1
    assert await world.keys() == set()
    assert (await world.get(state["url"], amina))[0] == 404


async def check_all(world: MediaWorld) -> None:
    """As if a day had passed for every attachment that is to be looked at."""
    await world.pool.execute(
        "update media_attachment set check_at = now() - interval '1 s' where check_at is not null"
    )
    await check(world.pool, 100, 24)


async def test_an_account_takes_its_files_along(world: MediaWorld) -> None:
    amina, bo = [await world.content.member(name) for name in ("amina", "bo")]
    attached = await world.upload(amina, PHOTO)
    await world.content.post(amina, body=link(attached))
    await world.upload(amina, files.picture(format="PNG"), "image/png")
    pending = await world.announce(amina, PHOTO)
    await world.send(pending, PHOTO)
    kept = await world.upload(bo, files.picture(70, 70), "image/png")
    assert amina.account_id is not None
    assert await remove_files_of(world.pool, world.objects, amina.account_id) == 3
    assert await remove_files_of(world.pool, world.objects, amina.account_id) == 0
    assert (await world.get(attached["url"], amina))[0] == 404
    assert (await world.get(kept["url"], bo))[0] == 200
    assert len(await world.keys()) == 1


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
    assert (await folder.get(state["url"]))[2]["Cache-Control"] == "public, max-age=60"
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


async def test_rules_of_a_bucket_are_set_beside_those_of_its_operator(s3: S3ForTests) -> None:
    objects = Objects.open(s3.settings("theirs"))
    other = Objects.open(s3.settings("ours"))
    assert await bucket_rules.apply(objects, 365, "")
    rules = bucket_rules.read(s3.bucket)
    rules[0].find(f"{bucket_rules.XML}ID").text = "operator"  # type: ignore[union-attr]
    bucket_rules.write(s3.bucket, rules)
    assert await bucket_rules.apply(other, 365, "")
    assert not await bucket_rules.apply(other, 365, "")
    prefixes = {
        rule.findtext(f"{bucket_rules.XML}ID"): rule.findtext(f".//{bucket_rules.XML}Prefix")
        for rule in bucket_rules.read(s3.bucket)
    }
    assert prefixes == {"operator": "theirs/upload/", "serai-uploads": "ours/upload/"}
    # This server has no classes: it says so, and everything else goes on.
    with pytest.raises(AppError, match="invalid: The bucket takes no rules: 501"):
        await bucket_rules.apply(other, 365, "STANDARD_IA")


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
    # The one thread that shows them now goes, and they with it.
    await folder.content.ask(DeletePost(amina, into, RECEIVED_NS))
    assert await seen() == [404, 404]
    await check_all(folder)
    assert await remove_orphans(folder.pool, folder.objects, 24) == 2
