"""What members ask for about all that is theirs: by password, for themselves alone."""

from __future__ import annotations

import asyncio
from uuid import UUID

import msgspec
import pytest

from actors.account_messages import (
    EraseAccount,
    Login,
    ReadErasure,
    ReadExport,
    ReadMe,
    Refresh,
    StartExport,
)
from actors.messages import Reply
from actors.signed_link import is_good
from config.errors import AppError
from storage import accounts, erasure
from storage.identity import new_id
from storage.postgres import in_transaction
from tests.integration.people import NOW, PASSWORD, SECRET, Person, World, pool, register, world

__all__ = ["pool", "world"]


def erase(person: Person, password: str = PASSWORD) -> EraseAccount:
    return EraseAccount(person.caller, password, False)


async def test_the_end_of_an_account_is_at_once(world: World) -> None:
    mina = await world.register("mina")
    refused = await world.failure(erase(mina, "not the password"))
    assert refused.code == "invalid_credentials"
    assert world.published == []
    reply = await world.reply(erase(mina))
    assert reply.status == 202
    assert msgspec.json.decode(reply.body)["status"] == "queued"
    ((_, event),) = await world.events(mina.channel)
    assert (event["type"], event["session_id"], event["reason"]) == (
        "session.ended",
        None,
        "deleted",
    )
    assert [publication.channel for publication in world.published] == [mina.channel]
    for request in (ReadMe(mina.caller), StartExport(mina.caller), Refresh(mina.refresh_token, "")):
        assert (await world.failure(request)).code == "unauthenticated"
    login = Login("mina", PASSWORD, "")
    assert (await world.failure(login)).code == "invalid_credentials"


async def test_asked_again_it_answers_the_same(world: World) -> None:
    """A gateway that lost the answer sends the request again."""
    mina = await world.register("mina")
    outcomes = await asyncio.gather(*(world.reply(erase(mina)) for _ in range(3)))
    jobs = {msgspec.json.decode(reply.body)["job_id"] for reply in outcomes}
    assert len(jobs) == 1
    assert await world.pool.fetchval("select count(*) from pgqueuer") == 1
    assert len(await world.events(mina.channel)) == 1
    progress = await world.reply(ReadErasure(UUID(jobs.pop())))
    assert msgspec.json.decode(progress.body)["total"] == 0
    assert (await world.failure(ReadErasure(mina.id))).code == "not_found"


async def test_nobody_gets_the_handle_of_one_who_left_and_anybody_the_address(
    world: World,
) -> None:
    mina = await world.register("mina")
    await world.reply(erase(mina))
    async with world.pool.acquire() as connection:
        assert await erasure.account(connection, mina.id) == 1
        assert await erasure.account(connection, mina.id) == 0
    refused = await world.failure(register("mina", email="other@example.org"))
    assert (refused.code, refused.errors) == ("conflict", (("handle", "is taken"),))
    assert isinstance(await world.ask(register("noor", email="mina@example.org")), Reply)
    assert (await world.failure(erase(mina))).code == "invalid_credentials"


async def test_of_two_at_once_who_gives_a_handle_up_comes_first(world: World) -> None:
    mina = await world.register("mina")
    async with world.pool.acquire() as connection:
        leaving = connection.transaction()
        await leaving.start()
        await erasure.account(connection, mina.id)
        taking = asyncio.create_task(
            in_transaction(
                world.pool,
                lambda c: accounts.create(c, new_id(0), "mina", "other@example.org", "", ()),
            )
        )
        async with asyncio.timeout(30):
            while not await world.pool.fetchval(  # noqa: ASYNC110  (Postgres is asked)
                "select count(*) from pg_stat_activity"
                " where datname = current_database() and wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.01)
        await leaving.commit()
    with pytest.raises(AppError, match="conflict"):
        await taking


async def test_an_export_is_made_once_and_shown_to_its_member_alone(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    assert (await world.failure(ReadExport(mina.caller))).code == "not_found"
    started = [
        msgspec.json.decode((await world.reply(StartExport(mina.caller))).body) for _ in range(2)
    ]
    assert started[0]["job_id"] == started[1]["job_id"]
    assert (started[0]["status"], started[0]["download_url"]) == ("queued", None)
    assert await world.pool.fetchval("select count(*) from pgqueuer") == 1
    assert (await world.failure(ReadExport(noor.caller))).code == "not_found"

    await world.pool.execute(
        "update account_task set finished_at = now(), size_bytes = 1,"
        " expires_at = now() + interval '7 days'"
    )
    shown = msgspec.json.decode((await world.reply(ReadExport(mina.caller))).body)
    assert shown["status"] == "done"
    path, _, query = shown["download_url"].partition("?")
    expires, signature = (part.partition("=")[2] for part in query.split("&"))
    assert path == f"/api/v1/exports/{shown['job_id']}"
    assert is_good(SECRET, path, int(expires), signature, NOW)
    again = msgspec.json.decode((await world.reply(StartExport(mina.caller))).body)
    assert again["job_id"] == shown["job_id"]
    await world.pool.execute("update account_task set finished_at = now() - interval '2 hours'")
    another = msgspec.json.decode((await world.reply(StartExport(mina.caller))).body)
    assert another["job_id"] != shown["job_id"]


async def test_a_failed_export_makes_room_for_another(world: World) -> None:
    mina = await world.register("mina")
    first = msgspec.json.decode((await world.reply(StartExport(mina.caller))).body)
    await world.pool.execute("update pgqueuer set status = 'failed'")
    shown = msgspec.json.decode((await world.reply(ReadExport(mina.caller))).body)
    assert shown["status"] == "failed"
    second = msgspec.json.decode((await world.reply(StartExport(mina.caller))).body)
    assert second["job_id"] != first["job_id"]
    assert second["status"] == "queued"
