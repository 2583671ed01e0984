"""Forwarding headers are believed from trusted proxies alone."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from serve_app.gateway.addresses import UNKNOWN, ClientAddresses
from serve_app.gateway.rate_limiter import LOOPBACK, address_id

TRUSTED = ("10.0.0.0/8", "fd00::/8", "127.0.0.1")


def request_from(peer: str, headers: dict[str, str]) -> web.Request:
    transport = Mock()
    transport.get_extra_info = {"peername": (peer, 1234)}.get
    return make_mocked_request("GET", "/", headers=headers, transport=transport)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.5", "1.2.3.4", "203.0.113.5"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.9.9.9", "1.2.3.4"),
        ("10.0.0.1", "10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("10.0.0.1", "1.2.3.4, nonsense", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4:443", "1.2.3.4"),
        ("fd00::1", "[2001:db8::7]:443", "2001:db8::7"),
        ("10.0.0.1", "::ffff:1.2.3.4", "1.2.3.4"),
    ],
)
def test_client_is_the_last_hop_that_is_not_ours(peer: str, forwarded: str, client: str) -> None:
    addresses = ClientAddresses(TRUSTED)
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert addresses.client_address(request_from(peer, headers)) == client


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("127.0.0.1", {}, "127.0.0.1"),
        ("::1", {}, "::1"),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, UNKNOWN),
        ("::1", {"Forwarded": "for=1.2.3.4"}, UNKNOWN),
        ("::ffff:127.0.0.1", {"X-Forwarded-For": "1.2.3.4"}, UNKNOWN),
        ("203.0.113.5", {"X-Forwarded-For": "1.2.3.4"}, "203.0.113.5"),
    ],
)
@pytest.mark.parametrize("trusted", [(), ("10.0.0.0/8",)])
def test_nobody_is_local_behind_a_local_proxy_that_is_not_declared(
    peer: str, headers: dict[str, str], client: str, trusted: tuple[str, ...]
) -> None:
    found = ClientAddresses(trusted).client_address(request_from(peer, headers))
    assert found == client
    assert (address_id(found) == LOOPBACK) == (not headers)


def test_an_undeclared_proxy_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    addresses = ClientAddresses(())
    for _ in range(3):
        addresses.client_address(request_from("127.0.0.1", {"X-Forwarded-For": "1.2.3.4"}))
    assert [r.levelname for r in caplog.records if "TRUSTED_PROXIES" in r.message] == ["WARNING"]


@pytest.mark.parametrize(
    ("peer", "proto", "secure"),
    [
        ("10.0.0.1", "https", True),
        ("10.0.0.1", "https, http", False),
        ("10.0.0.1", "http", False),
        ("203.0.113.5", "https", False),
    ],
)
def test_https_as_a_trusted_proxy_says(peer: str, proto: str, secure: bool) -> None:
    request = request_from(peer, {"X-Forwarded-Proto": proto})
    assert ClientAddresses(TRUSTED).is_https(request) is secure


@pytest.mark.parametrize(
    ("peer", "headers", "operator"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("10.1.2.3", {}, True),
        ("203.0.113.5", {}, False),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, False),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, False),
    ],
)
def test_operators_connect_directly(peer: str, headers: dict[str, str], operator: bool) -> None:
    assert ClientAddresses(TRUSTED).is_operator(request_from(peer, headers)) is operator
