"""The access token: a JWT (RFC 7519) signed with HMAC-SHA256, verified without any call.

Its header says `at+jwt` (RFC 9068), and its key is derived from the secret for this use alone, so
that no other token made with the same secret passes for it. A session that has ended keeps its
access token until it expires: that is why it lives minutes.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Final, get_args
from uuid import UUID

import jwt
from jwt.types import Options

from actors.messages import Caller, Role
from config.errors import AppError

ALGORITHM: Final = "HS256"
TOKEN_TYPE: Final = "at+jwt"
# A real one has about 400 characters: no work is done for longer ones.
MAX_TOKEN_CHARACTERS: Final = 2048

_ROLES: Final = frozenset(get_args(Role))
# Time is judged below, by the caller's clock.
_OPTIONS: Final = Options(
    verify_exp=False,
    verify_iat=False,
    verify_nbf=False,
    require=["sub", "hdl", "nam", "rol", "sid", "iat", "exp"],
)


def sign(caller: Caller, secret: str, now: float, ttl: float) -> str:
    """A token for a logged-in caller; `now` in Unix seconds, `ttl` in seconds."""
    if caller.account_id is None or caller.session_id is None:
        raise ValueError("a guest has no access token")
    claims = {
        "sub": str(caller.account_id),
        "hdl": caller.handle,
        "nam": caller.display_name,
        "rol": caller.role,
        "sid": str(caller.session_id),
        "iat": int(now),
        "exp": int(now + ttl),
    }
    return jwt.encode(claims, _key(secret), algorithm=ALGORITHM, headers={"typ": TOKEN_TYPE})


def verify(token: str, secret: str, now: float) -> tuple[Caller, float]:
    """Who the token stands for, and when it expires (Unix seconds).

    Raises AppError `token_expired` for one that was good, `unauthenticated` for anything else.
    """
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise _forged()
    try:
        decoded = jwt.decode_complete(token, _key(secret), algorithms=[ALGORITHM], options=_OPTIONS)
        claims = decoded["payload"]
        caller = Caller(
            account_id=UUID(claims["sub"]),
            handle=str(claims["hdl"]),
            display_name=str(claims["nam"]),
            role=claims["rol"],
            session_id=UUID(claims["sid"]),
        )
        expires_at = float(claims["exp"])
        genuine = decoded["header"].get("typ") == TOKEN_TYPE and caller.role in _ROLES
    except (
        jwt.PyJWTError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,  # a header of a thousand opening brackets, read before the signature
    ) as error:
        raise _forged() from error
    if not genuine:
        raise _forged()
    if now >= expires_at:
        raise AppError("token_expired", "The access token has expired.")
    return caller, expires_at


@lru_cache(maxsize=4)
def _key(secret: str) -> bytes:
    if not secret:
        raise ValueError("the secret is empty")
    return hmac.digest(secret.encode(), b"serai access token", hashlib.sha256)


def _forged() -> AppError:
    return AppError("unauthenticated", "The access token is not valid.")
