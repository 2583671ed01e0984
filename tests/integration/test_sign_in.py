"""Registering, logging in, refreshing, logging out, on a real database."""

from __future__ import annotations

import asyncio
import re
from uuid import UUID

import msgspec
import pytest

from actors.account_messages import Login, Logout, ReadMe, Refresh, Register
from actors.accounts import Accounts
from actors.messages import GUEST, Failure, Reply
from actors.passwords import Passwords
from actors.refresh_token import RefreshTokens
from config.settings import Auth
from storage.accounts import suspend
from storage.identity import new_id
from storage.sessions import forget_sessions
from tests.integration.people import (
    PASSWORD,
    SECRET,
    Person,
    World,
    person,
    pool,
    register,
    tokens,
    world,
)

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration


def login(name: str, password: str = PASSWORD) -> Login:
    return Login(name, password, "test")


def refresh(token: str) -> Refresh:
    return Refresh(token, "test")


async def test_registering_makes_an_account_a_session_and_a_stream(world: World) -> None:
    reply = await world.reply(register("mina", email=" Mina@Example.org ", languages=("de", "de")))
    given = tokens(reply)
    account = msgspec.json.decode(given.account)
    mina = person(given)
    assert (reply.status, given.expires_in) == (201, 900)
    assert reply.position > 0
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", account.pop("created_at"))
    assert account == {
        "id": str(mina.id),
        "handle": "mina",
        "display_name": "mina",
        "languages": ["de"],
    }
    assert (mina.caller.handle, mina.caller.role) == ("mina", "member")

    me = msgspec.json.decode((await world.reply(ReadMe(mina.caller))).body)
    assert (me["id"], me["email"], me["role"]) == (str(mina.id), "Mina@Example.org", "member")
    stored = await world.pool.fetchrow("select * from session where account_id = $1", mina.id)
    assert stored is not None
    assert stored["id"] == mina.caller.session_id
    assert mina.refresh_token not in str(stored)
    assert await world.pool.fetchval(
        "select true from stream s join account a on a.stream_id = s.id where s.channel = $1",
        mina.channel,
    )


async def test_faults_are_told_together_and_nothing_is_made(world: World) -> None:
    failure = await world.failure(Register("X", "x", "x", ("",), ""))
    assert failure.code == "invalid"
    assert [path for path, _ in failure.errors] == ["handle", "email", "password", "languages[0]"]
    assert await world.pool.fetchval("select count(*) from account") == 0


async def test_taken_names_and_addresses_are_told_without_case(world: World) -> None:
    await world.register("mina")
    failure = await world.failure(register("mina", email="MINA@example.org"))
    assert (failure.code, [p for p, _ in failure.errors]) == ("conflict", ["handle", "email"])
    failure = await world.failure(register("other", email="mina@EXAMPLE.org"))
    assert (failure.code, [p for p, _ in failure.errors]) == ("conflict", ["email"])


async def test_of_two_who_register_a_name_at_once_one_gets_it(world: World) -> None:
    outcomes = await world.accounts.handle_batch(
        [register("mina", email=f"mina{n}@example.org") for n in range(4)]
    )
    made = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert len(made) == 1
    assert {(f.code, f.errors) for f in refused} == {("conflict", (("handle", "is taken"),))}
    assert await world.pool.fetchval("select count(*) from stream where id > 0") == 1


async def test_items_of_a_batch_fail_singly_and_in_order(world: World) -> None:
    outcomes = await world.accounts.handle_batch(
        [register("mina"), register("NO"), ReadMe(GUEST), register("noor")]
    )
    codes = [o.status if isinstance(o, Reply) else o.code for o in outcomes]
    assert codes == [201, "invalid", "unauthenticated", 201]


async def test_log_in_by_handle_or_address(world: World) -> None:
    mina = await world.register("mina")
    seen = {mina.caller.session_id}
    names = ["mina", "MINA", " mina ", "mina@example.org", "Mina@Example.Org"]
    for name in names:
        reply = await world.reply(login(name))
        again = person(tokens(reply))
        assert (reply.status, again.id) == (200, mina.id)
        seen.add(again.caller.session_id)
    assert len(seen) == 1 + len(names)


async def test_wrong_unknown_unclaimed_and_deleted_get_the_same_answer(world: World) -> None:
    for handle in ("mina", "imported", "removed"):
        await world.register(handle)
    await world.pool.execute(
        "update account set password_hash = null, imported = true where handle = 'imported'"
    )
    await world.pool.execute("update account set status = 'deleted' where handle = 'removed'")
    asked = [login("mina", "not the password"), login("mina", "x" * 100_000), login("nobody")]
    asked += [login("imported"), login("removed"), login("mi\x00na"), login("\ud800"), login("")]
    asked += [login("%"), login("x" * 1_000)]
    failures = [await world.failure(request) for request in asked]
    assert {failure.code for failure in failures} == {"invalid_credentials"}
    assert len(set(failures)) == 1


async def test_suspension_is_told_to_those_who_know_the_password(world: World) -> None:
    await world.register("mina")
    await suspend(world.pool, "mina")
    assert (await world.failure(login("mina"))).code == "suspended"
    assert (await world.failure(login("mina", "wrong password"))).code == "invalid_credentials"
    await world.pool.execute("update account set suspended_until = now() - interval '1 second'")
    assert (await world.reply(login("mina"))).status == 200


async def test_a_stale_hash_is_replaced_at_log_in(world: World) -> None:
    await world.register("mina")
    stronger = Accounts(
        world.pool,
        Auth(),
        SECRET,
        world.published.extend,
        passwords=Passwords(memory_kib=16, passes=1),
    )
    before = await world.pool.fetchval("select password_hash from account")
    for _ in range(2):
        (outcome,) = await stronger.handle_batch([login("mina")])
        assert isinstance(outcome, Reply)
    after = await world.pool.fetchval("select password_hash from account")
    assert ("m=8," in before, "m=16," in after) == (True, True)
    stronger.close()


async def test_each_refresh_gives_a_new_token_of_the_same_session(world: World) -> None:
    mina = await world.register("mina")
    token = mina.refresh_token
    seen = {token}
    for _ in range(3):
        again = person(tokens(await world.reply(refresh(token))))
        assert again.caller == mina.caller
        token = again.refresh_token
        seen.add(token)
    assert len(seen) == 4
    assert world.published == []


async def test_tabs_that_refresh_at_once_all_go_on(world: World) -> None:
    mina = await world.register("mina")
    outcomes = await world.accounts.handle_batch([refresh(mina.refresh_token)] * 5)
    given = {tokens(o).refresh_token for o in outcomes if isinstance(o, Reply)}
    assert all(isinstance(outcome, Reply) for outcome in outcomes)
    assert len(given) == 1
    assert isinstance(await world.ask(refresh(given.pop())), Reply)


async def test_a_lost_reply_can_be_asked_for_again(world: World) -> None:
    mina = await world.register("mina")
    first = tokens(await world.reply(refresh(mina.refresh_token)))
    again = tokens(await world.reply(refresh(mina.refresh_token)))
    assert again.refresh_token == first.refresh_token


async def after_grace(world: World, mina: Person) -> str:
    second = tokens(await world.reply(refresh(mina.refresh_token))).refresh_token
    await world.pool.execute("update session set rotated_at = now() - interval '31 seconds'")
    return second


async def test_a_predecessor_after_its_grace_ends_the_family(world: World) -> None:
    mina = await world.register("mina")
    newest = await after_grace(world, mina)
    assert (await world.failure(refresh(mina.refresh_token))).code == "unauthenticated"
    assert (await world.failure(refresh(newest))).code == "unauthenticated"

    ((offset, event),) = await world.events(mina.channel)
    assert (event["type"], event["session_id"]) == (
        "session.ended",
        str(mina.caller.session_id),
    )
    assert "committed_ns" not in event
    (publication,) = world.published
    assert (publication.channel, publication.offset, offset) == (mina.channel, 1, 1)
    live = msgspec.json.decode(publication.data)
    assert live.pop("committed_ns") >= event["sent_ns"]
    assert live == event


async def test_an_older_token_ends_the_family_at_once_and_only_that_one(world: World) -> None:
    mina = await world.register("mina")
    elsewhere = tokens(await world.reply(login("mina"))).refresh_token
    second = tokens(await world.reply(refresh(mina.refresh_token))).refresh_token
    third = tokens(await world.reply(refresh(second))).refresh_token
    outcomes = await world.accounts.handle_batch([refresh(mina.refresh_token)] * 3)
    assert [o.code for o in outcomes if isinstance(o, Failure)] == ["unauthenticated"] * 3
    assert (await world.failure(refresh(third))).code == "unauthenticated"
    assert len(await world.events(mina.channel)) == 1
    assert isinstance(await world.ask(refresh(elsewhere)), Reply)


async def test_invented_tokens_have_no_effect(world: World) -> None:
    mina = await world.register("mina")
    assert mina.caller.session_id is not None
    stranger = RefreshTokens("a guessed secret")
    for text in (stranger.first(mina.caller.session_id).text, "", "x" * 86, "\ud800", "ü" * 86):
        assert (await world.failure(refresh(text))).code == "unauthenticated"
        assert (await world.reply(Logout(GUEST, text))).status == 204
    assert isinstance(await world.ask(refresh(mina.refresh_token)), Reply)
    unknown = RefreshTokens(SECRET).first(new_id(0)).text
    assert (await world.failure(refresh(unknown))).code == "unauthenticated"


async def test_expired_sessions_and_suspended_accounts_are_not_refreshed(world: World) -> None:
    mina = await world.register("mina")
    await world.pool.execute("update session set expires_at = now() - interval '1 second'")
    assert (await world.failure(refresh(mina.refresh_token))).code == "unauthenticated"

    noor = await world.register("noor")
    await world.pool.execute("update account set status = 'suspended' where id = $1", noor.id)
    assert (await world.failure(refresh(noor.refresh_token))).code == "suspended"
    await world.pool.execute("update account set status = 'active' where id = $1", noor.id)
    assert isinstance(await world.ask(refresh(noor.refresh_token)), Reply)
    await suspend(world.pool, "noor")
    assert (await world.failure(refresh(noor.refresh_token))).code == "suspended"


async def test_log_out_by_token_and_by_caller(world: World) -> None:
    mina = await world.register("mina")
    second = person(tokens(await world.reply(login("mina"))))
    for request in (Logout(mina.caller, None), Logout(GUEST, second.refresh_token)):
        for _ in range(2):
            assert (await world.reply(request)).status == 204
    for token in (mina.refresh_token, second.refresh_token):
        assert (await world.failure(refresh(token))).code == "unauthenticated"
    events = await world.events(mina.channel)
    assert [(o, UUID(e["session_id"]), e["reason"]) for o, e in events] == [
        (1, mina.caller.session_id, "logout"),
        (2, second.caller.session_id, "logout"),
    ]
    assert [p.offset for p in world.published] == [1, 2]
    assert (await world.reply(Logout(GUEST, None))).status == 204


async def test_log_out_ends_what_each_of_the_tokens_names(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    elsewhere = person(tokens(await world.reply(login("mina"))))
    assert (await world.reply(Logout(mina.caller, elsewhere.refresh_token))).status == 204
    for token in (mina.refresh_token, elsewhere.refresh_token):
        assert (await world.failure(refresh(token))).code == "unauthenticated"
    stranger = RefreshTokens("a guessed secret").first(noor.caller.session_id or new_id(0)).text
    assert (await world.reply(Logout(noor.caller, stranger))).status == 204
    assert (await world.failure(refresh(noor.refresh_token))).code == "unauthenticated"


async def test_a_refresh_and_a_log_out_at_once_leave_no_live_session(world: World) -> None:
    mina = await world.register("mina")
    await asyncio.gather(
        world.ask(refresh(mina.refresh_token)), world.ask(Logout(mina.caller, None))
    )
    assert await world.pool.fetchval("select count(*) from session where ended_at is null") == 0


async def test_long_and_strange_user_agents_are_stored_shortened(world: World) -> None:
    await world.reply(register("mina", user_agent="a\x00\ud800" + "b" * 1_000))
    stored = await world.pool.fetchval("select user_agent from session")
    assert stored == "a?" + "b" * 197


async def test_me_is_for_those_who_still_have_an_account(world: World) -> None:
    mina = await world.register("mina")
    await suspend(world.pool, "mina")
    assert (await world.failure(ReadMe(mina.caller))).code == "suspended"
    await world.pool.execute("delete from account")
    assert (await world.failure(ReadMe(mina.caller))).code == "unauthenticated"
    assert (await world.failure(ReadMe(GUEST))).code == "unauthenticated"


async def test_old_sessions_are_forgotten(world: World) -> None:
    mina = await world.register("mina")
    gone = person(tokens(await world.reply(login("mina"))))
    await world.reply(Logout(gone.caller, None))
    await world.pool.execute("update session set ended_at = ended_at - interval '8 days'")
    async with world.pool.acquire() as connection:
        assert await forget_sessions(connection, 7) == 1
        assert await forget_sessions(connection, 7) == 0
    assert isinstance(await world.ask(refresh(mina.refresh_token)), Reply)


async def test_an_unexpected_failure_says_nothing_but_internal(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    mina = await world.register("mina")
    await world.pool.execute("alter table account rename column email to address")
    failure = await world.failure(ReadMe(mina.caller))
    assert failure.code == "internal"
    assert "email" not in failure.detail
    assert any(record.exc_info for record in caplog.records)
