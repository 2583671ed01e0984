"""Files whose worker is killed, or whose job fails for good: nothing is lost, nothing is left."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from actors.messages import Caller
from storage import dead_letters, media
from storage.media_removal import remove_files_of, remove_orphans
from storage.objects import Objects
from tests import media_files as files
from tests.integration.media_world import MediaWorld, folder

__all__ = ["folder"]

pytestmark = pytest.mark.integration
PHOTO = files.photograph()
NOTES = "select count(*) from stray_object"


class Killed(Exception):
    pass


async def removed_by_a_worker_that_dies(
    world: MediaWorld, monkeypatch: pytest.MonkeyPatch, media_id: str, *, last: bool
) -> None:
    """As objects are deleted: after that (`last`), or before."""
    await world.age(media_id)
    real = Objects.delete

    async def die(objects: Objects, keys: Sequence[str]) -> None:
        originals = any(key.startswith("original/") for key in keys)
        if last or not originals:
            await real(objects, keys)
        if originals:
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Objects, "delete", die)
        await remove_orphans(world.pool, world.objects, 24)


async def an_hour_later(world: MediaWorld) -> None:
    await world.pool.execute("update stray_object set noted_at = noted_at - interval '61 minutes'")
    await world.jobs().tidy(b"")


async def begun(world: MediaWorld, caller: Caller) -> tuple[str, bytes]:
    """Its id, and the payload of its job."""
    ticket = await world.announce(caller, PHOTO)
    await world.send(ticket, PHOTO)
    await world.complete(caller, ticket["id"])
    payload = await world.pool.fetchval("select payload from pgqueuer where entrypoint = 'media'")
    return ticket["id"], payload


@pytest.mark.parametrize("last", [False, True])
async def test_equal_files_are_whole_after_a_removal_was_cut_off(
    folder: MediaWorld, monkeypatch: pytest.MonkeyPatch, last: bool
) -> None:
    amina, bo = [await folder.content.member(name) for name in ("amina", "bo")]
    first = await folder.upload(amina, PHOTO)
    await removed_by_a_worker_that_dies(folder, monkeypatch, first["id"], last=last)
    second = await folder.upload(bo, PHOTO)
    assert second["status"] == "ready"
    await an_hour_later(folder)
    for url in (second["url"], *(small["url"] for small in second["thumbnails"])):
        assert (await folder.get(url, bo))[0] == 200
    assert await folder.pool.fetchval(NOTES) == 0


@pytest.mark.parametrize("last", [False, True])
async def test_a_removal_that_was_cut_off_is_finished_later(
    folder: MediaWorld, monkeypatch: pytest.MonkeyPatch, last: bool
) -> None:
    amina = await folder.content.member("amina")
    state = await folder.upload(amina, PHOTO)
    await removed_by_a_worker_that_dies(folder, monkeypatch, state["id"], last=last)
    await folder.jobs().tidy(b"")  # a note may be of somebody at work
    assert bool(await folder.keys()) is not last
    await an_hour_later(folder)
    assert await folder.keys() == set()
    assert await folder.pool.fetchval(NOTES) == 0


async def test_what_a_dead_worker_stored_of_a_file_that_went_is_swept(
    folder: MediaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    amina = await folder.content.member("amina")
    _, payload = await begun(folder, amina)

    async def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(media, "add_object", die)
        await folder.jobs().process(payload)
    assert amina.account_id is not None
    await remove_files_of(folder.pool, folder.objects, amina.account_id)
    assert len(await folder.keys()) == 3
    await an_hour_later(folder)
    assert await folder.keys() == set()
    assert await folder.pool.fetchval(NOTES) == 0


async def test_a_file_whose_job_is_held_is_refused_and_one_that_waits_is_not(
    folder: MediaWorld,
) -> None:
    amina = await folder.content.member("amina")
    media_id, _ = await begun(folder, amina)

    async def tidied() -> tuple[str, str]:
        await folder.jobs().tidy(b"")
        _, state = await folder.complete(amina, media_id)
        return state["status"], state["reason"]

    for status in ("queued", "picked"):
        await folder.pool.execute(
            "update pgqueuer set status = $1::text::pgqueuer_status where entrypoint = 'media'",
            status,
        )
        assert await tidied() == ("processing", "")
    await folder.pool.execute("update pgqueuer set status = 'failed' where entrypoint = 'media'")
    assert await tidied() == ("refused", "It could not be processed: upload it again.")


async def test_a_held_job_that_is_put_back_in_time_makes_its_file_ready(
    folder: MediaWorld,
) -> None:
    amina = await folder.content.member("amina")
    media_id, _ = await begun(folder, amina)
    await folder.pool.execute("update pgqueuer set status = 'failed' where entrypoint = 'media'")
    assert await dead_letters.retry(folder.pool, None) == 1
    await folder.jobs().tidy(b"")
    await folder.work()
    assert (await folder.complete(amina, media_id))[1]["status"] == "ready"
