"""Tokens of realtime clients: ours, an application's by secret, an application's by public keys."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from actors import access_token
from actors.messages import GUEST, Caller
from config.edge import Realtime as RealtimeSettings
from config.errors import AppError
from serve_app.gateway.client_tokens import ClientTokens, Flag
from serve_app.gateway.public_keys import PublicKeys

AUTH_SECRET = "a" * 40
APPLICATION_SECRET = "b" * 64
NOW = 1_000_000.0
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def tokens(**settings: Any) -> ClientTokens:
    return ClientTokens(
        RealtimeSettings(**settings),
        AUTH_SECRET,
        lambda token: access_token.verify(token, AUTH_SECRET, NOW),
        clock=lambda: NOW,
    )


def signed(claims: dict[str, Any], algorithm: str = "HS256", key: Any = APPLICATION_SECRET) -> str:
    return jwt.encode(claims, key, algorithm)


async def refused(call: Any) -> str:
    with pytest.raises(AppError) as error:
        await call
    return error.value.code


async def test_an_access_token_is_its_account() -> None:
    caller = Caller(uuid4(), "ada", "Ada", "member", uuid4())
    token = access_token.sign(caller, AUTH_SECRET, NOW, 900)
    found = await tokens(token_secret=APPLICATION_SECRET).connection(token)
    assert (found.user, found.caller, found.expires_at) == (
        str(caller.account_id),
        caller,
        NOW + 900,
    )
    old = access_token.sign(caller, AUTH_SECRET, NOW - 1_000, 900)
    assert await refused(tokens().connection(old)) == "token_expired"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_an_application_signs_with_its_secret(algorithm: str) -> None:
    claims = {
        "sub": "42",
        "exp": NOW + 60,
        "info": {"name": "Ada"},
        "channels": ["news"],
        "subs": {"chat": {"data": {"x": 1}, "override": {"join_leave": {"value": True}}}},
    }
    found = await tokens(token_secret=APPLICATION_SECRET).connection(signed(claims, algorithm))
    assert (found.user, found.caller, found.expires_at) == ("42", GUEST, NOW + 60)
    assert found.info == b'{"name":"Ada"}'
    assert set(found.subs) == {"news", "chat"}
    assert found.subs["chat"].data == b'{"x":1}'
    assert found.subs["chat"].override.join_leave == Flag(True)


async def test_expiry_of_an_application_s_token() -> None:
    checked = tokens(token_secret=APPLICATION_SECRET)
    assert await refused(checked.connection(signed({"sub": "1", "exp": NOW}))) == "token_expired"
    assert (await checked.connection(signed({"sub": "1"}))).expires_at == 0
    # The token is good for a minute, the connection for ever.
    forever = await checked.connection(signed({"sub": "1", "exp": NOW + 60, "expire_at": 0}))
    assert forever.expires_at == 0
    assert await refused(checked.connection(signed({"sub": "1", "nbf": NOW + 9}))) == (
        "unauthenticated"
    )


async def test_info_may_be_base64() -> None:
    checked = tokens(token_secret=APPLICATION_SECRET)
    encoded = base64.b64encode(b'{"a": 1}').decode()
    assert (await checked.connection(signed({"sub": "1", "b64info": encoded}))).info == b'{"a":1}'
    for bad in ("!", base64.b64encode(b"no json").decode()):
        assert await refused(checked.connection(signed({"sub": "1", "b64info": bad}))) == (
            "unauthenticated"
        )


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "x" * 20_000,
        signed({"sub": "1"}, key="c" * 64),
        signed({"sub": 1.5}),
        signed({"exp": NOW + 5}),
        signed({"sub": "1", "exp": "soon"}),
        signed({"sub": "1", "channels": "news"}),
        signed({"sub": "1", "channel": "news"}),
        jwt.encode({"sub": "1"}, "", "none"),
    ],
)
async def test_what_is_no_connection_token(token: str) -> None:
    checked = tokens(token_secret=APPLICATION_SECRET)
    assert await refused(checked.connection(token)) == "unauthenticated"


@pytest.mark.parametrize("name", ["alg", "typ", "kid"])
@pytest.mark.parametrize("value", [["HS256"], {"a": 1}, 7, None, True])
async def test_header_members_of_any_type(name: str, value: Any) -> None:
    checked = tokens(token_secret=APPLICATION_SECRET)
    _, payload, signature = signed({"sub": "1"}).split(".")
    header = json.dumps({"alg": "HS256", "typ": "JWT", name: value}).encode()
    token = f"{base64.urlsafe_b64encode(header).decode().rstrip('=')}.{payload}.{signature}"
    assert await refused(checked.connection(token)) == "unauthenticated"
    assert await refused(checked.subscription(token, "1", "news")) == "unauthenticated"


async def test_without_a_secret_no_application_is_believed() -> None:
    assert await refused(tokens().connection(signed({"sub": "1"}))) == "unauthenticated"


async def test_issuer_and_audience() -> None:
    checked = tokens(
        token_secret=APPLICATION_SECRET, token_issuer="shop", token_audience="realtime"
    )
    good = {"sub": "1", "iss": "shop", "aud": ["else", "realtime"]}
    assert (await checked.connection(signed(good))).user == "1"
    wrong: list[dict[str, Any]] = [{"iss": "other"}, {"aud": "else"}, {"aud": []}]
    for bad in wrong:
        assert await refused(checked.connection(signed(good | bad))) == "unauthenticated"


async def test_a_subscription_token_is_for_one_user_and_channel() -> None:
    checked = tokens(token_secret=APPLICATION_SECRET)
    token = signed({"sub": "42", "channel": "$news", "info": {"n": 1}, "exp": NOW + 9})
    found = await checked.subscription(token, "42", "$news")
    assert (found.info, found.expires_at) == (b'{"n":1}', NOW + 9)
    assert await refused(checked.subscription(token, "43", "$news")) == "unauthenticated"
    assert await refused(checked.subscription(token, "42", "$new")) == "unauthenticated"
    late = signed({"sub": "42", "channel": "$news", "exp": NOW - 9})
    assert await refused(checked.subscription(late, "42", "$news")) == "token_expired"


async def test_our_own_subscription_tokens() -> None:
    checked = tokens(token_secret=APPLICATION_SECRET)
    token, expires_at = checked.issue_subscription("42", "news")
    found = await checked.subscription(token, "42", "news")
    assert found.expires_at == expires_at > NOW
    assert await refused(checked.subscription(token, "42", "other")) == "unauthenticated"
    # Neither our access tokens nor the application's pass for it, nor it for them.
    assert await refused(checked.connection(token)) == "unauthenticated"
    forged = jwt.encode({"sub": "42", "channel": "news"}, AUTH_SECRET, "HS256", {"typ": "sub+jwt"})
    assert await refused(checked.subscription(forged, "42", "news")) == "unauthenticated"


# ---------------------------------------------------------------- public keys


@dataclass
class Provider:
    """Serves a key set; `body` and `status` are what it answers."""

    url: str = ""
    status: int = 200
    body: Any = None
    asked: int = 0
    keys: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response(self.body or {"keys": self.keys}, status=self.status)


def public(key: Any, kid: str) -> dict[str, Any]:
    by_kind: dict[type, Any] = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    }
    algorithm = next(a for kind, a in by_kind.items() if isinstance(key, kind))
    found: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
    return found | {"kid": kid, "use": "sig"}


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider(keys=[public(RSA_KEY, "r"), public(EC_KEY, "e"), public(ED_KEY, "d")])
    app = web.Application()
    app.router.add_get("/keys", provider.handle)
    async with TestServer(app) as server:
        provider.url = str(server.make_url("/keys"))
        yield provider


def by_key(algorithm: str, key: Any, kid: str, **claims: Any) -> str:
    return jwt.encode({"sub": "42", **claims}, key, algorithm, {"kid": kid})


@pytest.mark.parametrize(
    ("algorithm", "key", "kid"),
    [
        ("RS256", RSA_KEY, "r"),
        ("RS512", RSA_KEY, "r"),
        ("ES256", EC_KEY, "e"),
        ("EdDSA", ED_KEY, "d"),
    ],
)
async def test_public_keys(provider: Provider, algorithm: str, key: Any, kid: str) -> None:
    checked = tokens(token_jwks_url=provider.url)
    try:
        for _ in range(3):
            assert (await checked.connection(by_key(algorithm, key, kid))).user == "42"
        assert provider.asked == 1
        assert await refused(checked.connection(by_key(algorithm, key, "other"))) == "unavailable"
        assert provider.asked == 1  # invented key ids are no way to make us ask
        forged = by_key(algorithm, key, kid)[:-8] + "AAAAAAAA"
        assert await refused(checked.connection(forged)) == "unauthenticated"
    finally:
        await checked.close()


async def test_new_keys_of_the_provider(provider: Provider) -> None:
    """Nobody is sent away for good while the set may be older than the token."""
    now, token = 1_000.0, by_key("EdDSA", ED_KEY, "new")
    keys = PublicKeys(provider.url, lambda: now)
    try:
        assert await refused(keys.find("new", "EdDSA")) == "unauthenticated"
        provider.keys.append(public(ED_KEY, "new"))
        now += 5
        assert await refused(keys.find("new", "EdDSA")) == "unavailable"
        provider.status = 500
        now += 30
        assert await refused(keys.find("new", "EdDSA")) == "unavailable"
        provider.status = 200
        now += 31
        assert jwt.decode(token, await keys.find("new", "EdDSA"), ["EdDSA"])["sub"] == "42"
        assert provider.asked == 3
    finally:
        await keys.close()


async def test_a_public_key_is_no_secret(provider: Provider) -> None:
    """The classic confusion: HMAC with the public key's text as the secret."""
    checked = tokens(token_jwks_url=provider.url, token_secret=APPLICATION_SECRET)
    try:
        secret = str(provider.keys[0]["n"])
        forged = jwt.encode({"sub": "1"}, secret, "HS256", {"kid": "r"})
        assert await refused(checked.connection(forged)) == "unauthenticated"
        wrong_kind = by_key("EdDSA", ED_KEY, "r")
        assert await refused(checked.connection(wrong_kind)) == "unauthenticated"
    finally:
        await checked.close()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, None),
        (302, None),
        (200, {"keys": 7}),
        (200, {"keys": [7]}),
        (200, {"x": "y" * 300_000}),
    ],
)
async def test_a_provider_that_fails(provider: Provider, status: int, body: Any) -> None:
    provider.status, provider.body = status, body
    checked = tokens(token_jwks_url=provider.url)
    try:
        assert await refused(checked.connection(by_key("RS256", RSA_KEY, "r"))) == "unavailable"
        assert await refused(checked.connection(by_key("RS256", RSA_KEY, "r"))) == "unavailable"
        assert provider.asked == 1
    finally:
        await checked.close()
