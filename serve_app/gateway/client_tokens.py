"""Tokens that realtime clients bring: who connects, and who may have one channel (JWT, RFC 7519).

Connections: Serai's access tokens, and those that an application issues for its own users, signed
with `realtime.token_secret` (HMAC) or a key of `realtime.token_jwks_url`. The latter carry a user
and no Serai account: they open what the namespaces say, and never content.
Subscriptions: the application's, and those of GET /api/v1/realtime/token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import jwt
import msgspec

from actors.messages import GUEST, Caller
from config.edge import Realtime as RealtimeSettings
from config.errors import AppError
from serve_app.gateway.public_keys import PublicKeys

# A frame of the protocol has at most 64 KiB; real tokens have some hundred characters.
MAX_TOKEN_CHARACTERS: Final = 16_384
SUBSCRIPTION_TOKEN_SECONDS: Final = 900
_OWN_TYPE: Final = "sub+jwt"
_HMAC: Final = frozenset({"HS256", "HS384", "HS512"})
# Never HMAC and public keys by one list: a public key must not pass for an HMAC secret.
_PUBLIC: Final = frozenset({"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"})

# The settings ask for 256 bits whatever the hash: enough, also for HS512.
warnings.filterwarnings("ignore", category=jwt.warnings.InsecureKeyLengthWarning)

VerifyAccessToken = Callable[[str], tuple[Caller, float]]


class Flag(msgspec.Struct, frozen=True):
    value: bool = False


class Override(msgspec.Struct, frozen=True):
    """What a token says against its namespace's row; None leaves it as it is."""

    presence: Flag | None = None
    join_leave: Flag | None = None
    force_recovery: Flag | None = None
    force_positioning: Flag | None = None
    force_push_join_leave: Flag | None = None


class ServerSubscription(msgspec.Struct, frozen=True):
    """A channel that a connection token subscribes to. `info` and `data` are encoded JSON, empty
    where there is none."""

    info: bytes = b""
    data: bytes = b""
    override: Override = Override()


class ConnectionToken(msgspec.Struct, frozen=True):
    """Who connects. `user` is the account's id with an access token, else the application's; "" for
    guests. `expires_at` in Unix seconds, 0 for never: when the client must bring another one."""

    user: str
    caller: Caller
    expires_at: float
    info: bytes = b""
    subs: dict[str, ServerSubscription] = {}


class SubscriptionToken(msgspec.Struct, frozen=True):
    """`expires_at` as of ConnectionToken, for the subscription."""

    user: str
    channel: str
    info: bytes
    expires_at: float
    override: Override


class _Sub(msgspec.Struct, frozen=True):
    info: msgspec.Raw = msgspec.Raw()
    b64info: str = ""
    data: msgspec.Raw = msgspec.Raw()
    b64data: str = ""
    override: Override | None = None


class _Claims(msgspec.Struct, frozen=True):
    sub: str
    channel: str = ""
    exp: float | None = None
    nbf: float | None = None
    expire_at: float | None = None
    iss: str = ""
    aud: str | list[str] = ""
    info: msgspec.Raw = msgspec.Raw()
    b64info: str = ""
    channels: list[str] = []
    subs: dict[str, _Sub] = {}
    override: Override | None = None


_CLAIMS: Final = msgspec.json.Decoder(_Claims)


class ClientTokens:
    """`auth_secret` signs the subscription tokens of this server. Both reads raise AppError
    `token_expired` for what was good, `unauthenticated` for anything else, `unavailable` when the
    public keys can't be fetched."""

    def __init__(
        self,
        settings: RealtimeSettings,
        auth_secret: str,
        verify_access_token: VerifyAccessToken,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._auth_secret = auth_secret
        self._verify_access_token = verify_access_token
        self._clock = clock
        url = settings.token_jwks_url
        self._keys = PublicKeys(url) if url else None

    async def connection(self, token: str) -> ConnectionToken:
        try:
            caller, expires_at = self._verify_access_token(token)
        except AppError as error:
            if error.code != "unauthenticated":
                raise
        else:
            return ConnectionToken(str(caller.account_id), caller, expires_at)
        claims = await self._foreign(token)
        if claims.channel:
            raise _forged()  # a subscription token says less than who connects
        subs = {name: ServerSubscription() for name in claims.channels}
        for name, sub in claims.subs.items():
            subs[name] = ServerSubscription(
                _json(sub.info, sub.b64info),
                _json(sub.data, sub.b64data),
                sub.override or Override(),
            )
        return ConnectionToken(
            claims.sub, GUEST, _expires_at(claims), _json(claims.info, claims.b64info), subs
        )

    async def subscription(self, token: str, user: str, channel: str) -> SubscriptionToken:
        """Good for this user and this channel alone."""
        header = _header(token)
        claims = self._own(token) if header.get("typ") == _OWN_TYPE else await self._foreign(token)
        if claims.sub != user or claims.channel != channel or not channel:
            raise _forged()
        return SubscriptionToken(
            claims.sub,
            claims.channel,
            _json(claims.info, claims.b64info),
            _expires_at(claims),
            claims.override or Override(),
        )

    def issue_subscription(self, user: str, channel: str) -> tuple[str, float]:
        """As of `issue_subscription_token`."""
        return issue_subscription_token(self._auth_secret, user, channel, self._clock())

    async def close(self) -> None:
        if self._keys is not None:
            await self._keys.close()

    def _own(self, token: str) -> _Claims:
        return self._checked(_payload(token, _own_key(self._auth_secret), "HS256"))

    async def _foreign(self, token: str) -> _Claims:
        header = _header(token)
        algorithm = header.get("alg")
        key: Any
        if algorithm in _HMAC and self._settings.token_secret:
            key = self._settings.token_secret.encode()
        elif algorithm in _PUBLIC and self._keys is not None:
            key = await self._keys.find(str(header.get("kid", "")), algorithm)
        else:
            raise _forged()
        claims = self._checked(_payload(token, key, algorithm))
        issuer, audience = self._settings.token_issuer, self._settings.token_audience
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if (issuer and claims.iss != issuer) or (audience and audience not in audiences):
            raise _forged()
        return claims

    def _checked(self, payload: bytes) -> _Claims:
        try:
            claims = _CLAIMS.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _forged() from None
        now = self._clock()
        if claims.nbf is not None and claims.nbf > now:
            raise _forged()
        if claims.exp is not None and claims.exp <= now:
            raise AppError("token_expired", "The token has expired.")
        return claims


def issue_subscription_token(
    auth_secret: str, user: str, channel: str, now: float
) -> tuple[str, float]:
    """A token, and when it expires (Unix seconds), for a right that the caller has checked."""
    expires_at = int(now) + SUBSCRIPTION_TOKEN_SECONDS
    claims = {"sub": user, "channel": channel, "exp": expires_at}
    token = jwt.encode(claims, _own_key(auth_secret), "HS256", {"typ": _OWN_TYPE})
    return token, float(expires_at)


def _header(token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise _forged()
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError):
        raise _forged() from None
    if not all(isinstance(header.get(name, ""), str) for name in ("alg", "typ", "kid")):
        raise _forged()
    return header


def _payload(token: str, key: Any, algorithm: str) -> bytes:
    try:
        payload = jwt.PyJWS().decode(token, key, algorithms=[algorithm])
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError):
        raise _forged() from None
    return bytes(payload)


def _expires_at(claims: _Claims) -> float:
    """`expire_at` stands over `exp`, and says 0 for a connection that never expires."""
    if claims.expire_at is not None:
        return claims.expire_at
    return claims.exp or 0.0


def _json(plain: msgspec.Raw, encoded: str) -> bytes:
    """Encoded JSON of one line, empty for none. Raises AppError when `encoded` holds no JSON."""
    try:
        text = base64.b64decode(encoded, validate=True) if encoded else bytes(plain)
        return msgspec.json.encode(msgspec.json.decode(text)) if text else b""
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _forged() from None


@lru_cache(maxsize=4)
def _own_key(secret: str) -> bytes:
    if not secret:
        raise ValueError("the secret is empty")
    return hmac.digest(secret.encode(), b"serai subscription token", hashlib.sha256)


def _forged() -> AppError:
    return AppError("unauthenticated", "The token is not valid.")
