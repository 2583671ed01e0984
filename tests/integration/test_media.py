"""Uploaded files from the announcement to the last copy, in a folder and in a real S3 bucket."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from PIL import Image

from actors.messages import (
    Caller,
    DeleteComment,
    DeletePost,
    EditComment,
    RestoreComment,
    RestorePost,
)
from config.errors import AppError
from config.media import Objects as ObjectSettings
from storage import bucket_rules
from storage.attachments import give_up
from storage.identity import new_id
from storage.media_removal import remove_files_of, remove_orphans
from storage.memberships import grant
from storage.objects import Objects
from storage.postgres import in_transaction
from storage.presigning import presign
from tests import media_files as files
from tests.integration.content import RECEIVED_NS, content_on
from tests.integration.media_world import MediaWorld, check_all, link, media_world
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


async def test_a_bucket_that_refuses_us_is_no_outage(s3: S3ForTests) -> None:
    """Waiting would not help: such a job is held for an operator."""
    right = s3.settings(prefix=new_id(0).hex)
    await Objects.open(right).put("upload/x", b"x", "text/plain")
    store = Objects.open(msgspec.structs.replace(right, secret_access_key="another secret key"))
    for attempt in (
        store.put("upload/y", b"y", "text/plain"),
        store.read("upload/x"),
        store.delete(["upload/x"]),
    ):
        with pytest.raises(AppError) as caught:
            await attempt
        assert caught.value.code == "internal"
    nowhere = ObjectSettings(
        url="s3://bucket/x",
        endpoint="http://127.0.0.1:1",
        access_key_id="k",
        secret_access_key="s",
        allow_http=True,
    )
    with pytest.raises(AppError) as caught:
        await Objects.open(nowhere).read("upload/x")
    assert caught.value.code == "unavailable"


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
    stored = await world.keys()
    assert len(stored) == 3
    await world.age(first["id"])
    assert await remove_orphans(world.pool, world.objects, 24) == 1
    assert await world.keys() == stored
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


@pytest.mark.parametrize("kind", ["post", "comment"])
async def test_files_stay_as_long_as_their_content_may_come_back(
    world: MediaWorld, kind: str
) -> None:
    amina = await world.content.member("amina")
    mod = await world.content.member("mod", "moderator")
    state = await world.upload(amina, PHOTO)
    post = await world.content.post(amina, body=link(state) if kind == "post" else "Look below.")
    shown = post
    if kind == "comment":
        shown = await world.content.comment(amina, post["id"], body=link(state))
    id = UUID(shown["id"])
    remove = (DeletePost if kind == "post" else DeleteComment)(mod, id, RECEIVED_NS, "spam")
    restore = (RestorePost if kind == "post" else RestoreComment)(mod, id, RECEIVED_NS)
    await world.age(state["id"])  # it is attached: nothing to age
    for _ in range(2):
        await check_all(world)
        assert await remove_orphans(world.pool, world.objects, 24) == 0
        world.content.body((await world.content.ask(remove))[0])
        assert (await world.get(state["url"]))[0] == 404
        await check_all(world)
        assert await remove_orphans(world.pool, world.objects, 24) == 0
        # Whenever that is: moderators have no limit of time.
        world.content.body((await world.content.ask(restore))[0])
        assert (await world.get(state["url"]))[0] == 200
    await world.content.ask(remove)
    await in_transaction(world.pool, lambda connection: give_up(connection, [id], 24))
    assert await remove_orphans(world.pool, world.objects, 24) == 1
    assert await world.keys() == set()
    assert (await world.get(state["url"], amina))[0] == 404


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


async def test_rules_of_a_bucket_are_set_beside_those_of_its_operator(s3: S3ForTests) -> None:
    theirs = Objects.open(s3.settings("theirs"))
    other = Objects.open(s3.settings("ours"))
    assert await bucket_rules.apply(theirs, 365, "")
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
