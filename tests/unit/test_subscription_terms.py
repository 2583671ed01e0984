"""What a subscription gets: the namespace, the request and the token's override together."""

from __future__ import annotations

from itertools import product
from typing import Any

import msgspec
import pytest

from config.channels import Namespace
from serve_app.gateway.channel import EVERYTHING, Wants
from serve_app.gateway.client_tokens import Flag, Override
from serve_app.gateway.protocol import SubscribeRequest
from serve_app.gateway.subscription import Terms, agree

MEMORY: dict[str, Any] = {"history": "memory", "history_size": 1, "history_ttl_seconds": 1.0}
FULL = Namespace(recovery="stream", presence="clients", join_leave=True, delta=True, **MEMORY)
POOR = Namespace()
ALL = SubscribeRequest(
    positioned=True, recoverable=True, recover=True, join_leave=True, delta="fossil"
)


def test_everything_where_everything_is_asked_for_and_there() -> None:
    assert agree(FULL, ALL) == Terms(Wants.JOIN_LEAVE | Wants.DELTA, True, True, True)


def test_nothing_where_nothing_is_there() -> None:
    forced = Override(*(Flag(True) for _ in range(5)))
    for override, server_side in product((Override(), forced), (False, True)):
        terms = agree(POOR, ALL, override, server_side=server_side)
        assert terms == Terms(EVERYTHING, False, False, False)


def test_nothing_but_presence_where_nothing_is_asked_for() -> None:
    assert agree(FULL, SubscribeRequest()) == Terms(EVERYTHING, False, False, True)


def test_the_servers_own_have_all_continuity() -> None:
    terms = agree(FULL, SubscribeRequest(), server_side=True)
    assert terms == Terms(EVERYTHING, True, True, True)


def test_recovering_asks_for_recovery() -> None:
    assert agree(FULL, SubscribeRequest(recover=True)).recoverable


def test_a_passive_one_has_no_continuity_whatever_it_asks_for() -> None:
    request = msgspec.structs.replace(ALL, data=msgspec.Raw(b'{"passive":true,"more":1}'))
    forced = Override(force_recovery=Flag(True), force_push_join_leave=Flag(True))
    assert agree(FULL, request, forced) == Terms(Wants.PASSIVE, False, False, True)


@pytest.mark.parametrize("data", [b"{}", b'{"passive":false}', b'{"passive":1}', b"[", b"null"])
def test_other_data_is_the_applications(data: bytes) -> None:
    request = msgspec.structs.replace(ALL, data=msgspec.Raw(data))
    assert Wants.PASSIVE not in agree(FULL, request).wants


def test_overrides_take_away() -> None:
    taken = Override(
        presence=Flag(), join_leave=Flag(), force_push_join_leave=Flag(True)
    )  # the last one asks for what the second forbids
    terms = agree(FULL, SubscribeRequest(), taken)
    assert terms == Terms(EVERYTHING, False, False, False)
