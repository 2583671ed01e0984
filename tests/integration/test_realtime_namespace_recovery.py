"""Recovery of operators' channels: streams, caches, deltas, and what a subscription token says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import pytest
from centrifuge.fossil import apply_delta

from config.channels import Namespace
from tests.conditions import wait_until
from tests.integration.realtime_socket import client, error_of
from tests.realtime_server import RawClient, RealtimeServer
from tests.realtime_tokens import TOKEN_SECRET, connection_token, subscription_token, within

__all__ = ["client"]

MEMORY: Final[dict[str, Any]] = {
    "history": "memory",
    "history_size": 100,
    "history_ttl_seconds": 60.0,
}
ASKED: Final[dict[str, Any]] = {"recover": True, "epoch": "epoch-1"}


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    channels = {
        "stream": Namespace(recovery="stream", delta=True, presence="clients", join_leave=True,
                            publish="subscribers", **MEMORY),
        "cache": Namespace(recovery="cache", **MEMORY),
        "forced": Namespace(recovery="stream", force_recovery=True, **MEMORY),
        "kept": Namespace(**MEMORY),
    }  # fmt: skip
    async with RealtimeServer(channels=channels, token_secret=TOKEN_SECRET) as server:
        yield server


@pytest.fixture
async def ada(client: RawClient) -> RawClient:
    await client.connect(connection_token("42"))
    return client


async def subscribe(client: RawClient, channel: str, **fields: Any) -> Any:
    return (await client.ask("subscribe", channel=channel, **fields))["subscribe"]


def offsets(result: Any) -> list[int]:
    return [p["offset"] for p in result.get("publications", [])]


# ---------------------------------------------------------------- stream


async def test_stream_recovery(server: RealtimeServer, ada: RawClient) -> None:
    server.shard.create("stream:1", 5)
    result = await subscribe(ada, "stream:1", **ASKED, offset=3)
    assert result["recovered"] is True and result["was_recovering"] is True
    assert result["offset"] == 3 and offsets(result) == [4, 5]
    server.shard.publish("stream:1")
    assert (await ada.next())["push"]["pub"]["offset"] == 6


@pytest.mark.parametrize("epoch", ["_", "epoch-0"])
async def test_another_epoch_does_not_recover(
    server: RealtimeServer, ada: RawClient, epoch: str
) -> None:
    for channel in ("stream:1", "cache:1"):
        server.shard.create(channel, 5)
        asked = {"recover": True, "epoch": epoch, "offset": 5}
        rejected = await ada.ask("subscribe", channel=channel, **asked, flag=2)
        if channel == "stream:1" or epoch == "_":
            assert error_of(rejected) == 112
            result = await subscribe(ada, channel, **asked)
            assert "recovered" not in result and offsets(result) == []
            assert result["was_recovering"] is True and result["offset"] == 5
        else:
            # The newest publication is all there is to a cache, whatever was there before.
            assert offsets(rejected["subscribe"]) == [5]


async def test_without_recovery_nothing_is_recovered(
    server: RealtimeServer, ada: RawClient
) -> None:
    server.shard.create("kept:1", 5)
    assert await subscribe(ada, "kept:1", **ASKED, offset=3, recoverable=True) == {
        "was_recovering": True
    }
    assert await subscribe(ada, "kept:2", positioned=True) == {
        "positioned": True,
        "epoch": "epoch-1",
    }


async def test_forced_recovery(ada: RawClient) -> None:
    forced = {"recoverable": True, "positioned": True, "epoch": "epoch-1"}
    assert await subscribe(ada, "forced:1") == forced


# ---------------------------------------------------------------- cache


@pytest.mark.parametrize(
    ("count", "offset", "recovered", "newest"),
    [(5, 0, True, [5]), (5, 2, True, [5]), (5, 5, True, []), (0, 0, True, []), (0, 3, False, [])],
)
async def test_cache_recovery(
    server: RealtimeServer,
    ada: RawClient,
    count: int,
    offset: int,
    recovered: bool,
    newest: list[int],
) -> None:
    server.shard.create("cache:1", count)
    result = await subscribe(ada, "cache:1", **ASKED, offset=offset)
    assert result.get("recovered", False) is recovered
    assert offsets(result) == newest and result.get("offset", 0) == count
    server.shard.publish("cache:1")
    assert (await ada.next())["push"]["pub"]["offset"] == count + 1


async def test_first_subscribe_of_a_cache(server: RealtimeServer, ada: RawClient) -> None:
    server.shard.create("cache:1", 3)
    result = await subscribe(ada, "cache:1", recover=True)
    assert result["recovered"] is True and offsets(result) == [3]
    result = await subscribe(ada, "cache:2", recover=True)
    assert "recovered" not in result and offsets(result) == []


async def test_a_cache_whose_publication_is_gone(server: RealtimeServer, ada: RawClient) -> None:
    server.shard.create("cache:1", 3)
    server.shard.trim("cache:1", 4)
    result = await subscribe(ada, "cache:1", **ASKED, offset=1)
    assert "recovered" not in result and offsets(result) == [] and result["offset"] == 3


# ---------------------------------------------------------------- deltas


def texts(count: int) -> list[bytes]:
    board = {f"player-{n}": 0 for n in range(40)}
    made = []
    for n in range(count):
        board[f"player-{n % 40}"] += n + 1
        made.append(msgspec.json.encode({"board": board, "who": "é"}))
    return made


async def test_the_first_of_a_chain_is_the_base_byte_for_byte(
    server: RealtimeServer, ada: RawClient
) -> None:
    """White space stays: a patch against other bytes would have a bad checksum."""
    boards = [msgspec.json.format(board, indent=2) for board in texts(3)]
    server.shard.create("stream:1")
    for board in boards:
        server.shard.publish("stream:1", board)
    result = await subscribe(ada, "stream:1", **ASKED, offset=1, delta="fossil")
    first, second = result["publications"]
    assert first["data"].encode() == boards[1]
    assert apply_delta(boards[1], second["data"].encode()) == boards[2]


async def test_recovered_publications_are_chained_deltas(
    server: RealtimeServer, ada: RawClient
) -> None:
    boards = texts(6)
    server.shard.create("stream:1")
    for board in boards[:4]:
        server.shard.publish("stream:1", board)
    result = await subscribe(ada, "stream:1", **ASKED, offset=1, delta="fossil")
    assert result["delta"] is True
    publications = result["publications"]
    assert [p.get("delta", False) for p in publications] == [False, True, True]
    for board in boards[4:]:
        server.shard.publish("stream:1", board)
    publications += [(await ada.next())["push"]["pub"] for _ in range(2)]
    current = b""
    for publication, board in zip(publications, boards[1:], strict=True):
        data = publication["data"].encode()
        current = bytes(apply_delta(current, data)) if publication.get("delta") else data
        assert current == board
    assert publications[-1]["delta"] is True
    history = (await ada.ask("history", channel="stream:1", limit=-1))["history"]
    assert [msgspec.json.encode(p["data"]) for p in history["publications"]] == boards


async def test_what_a_delta_does_not_shorten_is_sent_in_full(
    server: RealtimeServer, ada: RawClient
) -> None:
    server.shard.create("stream:1")
    for data in (b"1", b"2"):
        server.shard.publish("stream:1", data)
    result = await subscribe(ada, "stream:1", **ASKED, offset=0, delta="fossil")
    assert result["publications"] == [{"data": "1", "offset": 1}, {"data": "2", "offset": 2}]


# ---------------------------------------------------------------- subscription tokens


def token(channel: str = "stream:1", **claims: Any) -> str:
    return subscription_token("42", channel, **claims)


@pytest.mark.parametrize(
    ("override", "fields", "answered"),
    [
        ({"force_recovery": {"value": True}}, {}, {"recoverable": True, "epoch": "epoch-1"}),
        ({"force_positioning": {"value": True}}, {}, {"positioned": True, "epoch": "epoch-1"}),
        ({"force_recovery": {}}, {}, {}),
    ],
)
async def test_overrides(
    ada: RawClient, override: Any, fields: dict[str, Any], answered: dict[str, Any]
) -> None:
    result = await subscribe(ada, "stream:1", token=token(override=override), **fields)
    assert result == answered


async def test_presence_and_visits_by_override(server: RealtimeServer, ada: RawClient) -> None:
    async with server.socket() as second:
        await second.connect(connection_token("42"))
        hidden = {"presence": {"value": False}, "join_leave": {"value": False}}
        await subscribe(second, "stream:1", token=token(override=hidden), join_leave=True)
        forced = {"force_push_join_leave": {"value": True}}
        await subscribe(ada, "stream:1", token=token(override=forced))
        assert (await ada.next())["push"]["join"]["info"]["user"] == "42"
        assert await second.ask("ping") == {"id": 3, "ping": {}}
        assert len(server.shard.clients) == 1
    await ada.ask("unsubscribe", channel="stream:1")
    await wait_until(lambda: not server.shard.clients)


async def test_a_subscription_that_expires(ada: RawClient) -> None:
    result = await subscribe(ada, "stream:1", token=token(exp=within(50)))
    assert result["expires"] is True and 40 <= result["ttl"] <= 50
    reply = await ada.ask("sub_refresh", channel="stream:1", token=token(exp=within(500)))
    assert reply["sub_refresh"]["expires"] is True and reply["sub_refresh"]["ttl"] > 450
    reply = await ada.ask("sub_refresh", channel="stream:1", token=token(expire_at=0))
    assert reply["sub_refresh"] == {}


@pytest.mark.parametrize(
    ("channel", "sent", "code"),
    [
        ("stream:2", token("stream:2"), 103),
        ("stream:1", token("stream:2"), 103),
        ("stream:1", subscription_token("7", "stream:1"), 103),
        ("stream:1", "", 107),
        ("stream:1", "forged", 103),
        ("nowhere:1", token("nowhere:1"), 102),
    ],
)
async def test_refused_sub_refresh(ada: RawClient, channel: str, sent: str, code: int) -> None:
    await subscribe(ada, "stream:1", token=token(exp=within(50)))
    assert error_of(await ada.ask("sub_refresh", channel=channel, token=sent)) == code


async def test_an_expired_sub_refresh_makes_the_sdk_subscribe_again(
    server: RealtimeServer, ada: RawClient
) -> None:
    await subscribe(ada, "stream:1", token=token(exp=within(50)))
    await ada.send({"id": 9, "sub_refresh": {"channel": "stream:1", "token": token(exp=1)}})
    assert (await ada.next())["push"] == {
        "channel": "stream:1",
        "unsubscribe": {"code": 2501, "reason": "subscription expired"},
    }
    assert error_of(await ada.next()) == 109
    assert server.realtime.statistics()["subscriptions"] == 0
