"""The access token: what verifies, and everything that must not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from uuid import UUID

import pytest

from actors.access_token import sign, verify
from actors.messages import GUEST, Caller
from config.errors import AppError

SECRET = "a secret that is as long as one should be"
NOW = 1_800_000_000.25
CALLER = Caller(
    UUID("01890a5d-ac96-774b-bcce-b302099a8057"),
    "mina",
    "Mina \N{SNOWMAN}",
    "moderator",
    UUID("01890a5d-ac96-774b-bcce-b302099a8058"),
)
CLAIMS: dict[str, object] = {
    "sub": str(CALLER.account_id),
    "hdl": "mina",
    "nam": "Mina",
    "rol": "member",
    "sid": str(CALLER.session_id),
    "iat": int(NOW),
    "exp": int(NOW) + 60,
}


def key_of(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"serai access token", hashlib.sha256)


def forged(claims: dict[str, object], typ: str = "at+jwt", algorithm: str = "HS256") -> str:
    """Signed with the right key, by hand: PyJWT would refuse to make some of these."""
    parts = [encoded(json.dumps(p).encode()) for p in ({"alg": algorithm, "typ": typ}, claims)]
    digest = {"HS256": hashlib.sha256, "HS512": hashlib.sha512}.get(algorithm)
    signature = hmac.digest(key_of(SECRET), ".".join(parts).encode(), digest) if digest else b""
    return ".".join([*parts, encoded(signature)])


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def code_of(token: str, now: float = NOW, secret: str = SECRET) -> str:
    with pytest.raises(AppError) as caught:
        verify(token, secret, now)
    return caught.value.code


def test_a_signed_caller_comes_back_with_the_time_it_expires() -> None:
    assert verify(sign(CALLER, SECRET, NOW, 900), SECRET, NOW + 899) == (CALLER, 1_800_000_900.0)


def test_it_expires_by_the_given_clock() -> None:
    token = sign(CALLER, SECRET, NOW, 900)
    assert code_of(token, now=1_800_000_900.0) == "token_expired"
    assert code_of(token, now=NOW + 10**6, secret="another secret") == "unauthenticated"


def test_guests_and_empty_secrets_have_no_token() -> None:
    with pytest.raises(ValueError):
        sign(GUEST, SECRET, NOW, 900)
    with pytest.raises(ValueError):
        sign(CALLER, "", NOW, 900)


def test_the_control_for_the_forgeries_below_is_accepted() -> None:
    caller, expires_at = verify(forged(CLAIMS), SECRET, NOW)
    assert (caller.handle, caller.role, expires_at) == ("mina", "member", NOW - 0.25 + 60)


@pytest.mark.parametrize("claim", sorted(CLAIMS))
def test_no_claim_may_be_missing(claim: str) -> None:
    assert code_of(forged({k: v for k, v in CLAIMS.items() if k != claim})) == "unauthenticated"


@pytest.mark.parametrize(
    "change",
    [
        {"sub": "mina"},
        {"sub": 7},
        {"sid": None},
        {"rol": "owner"},
        {"rol": ["admin"]},
        {"exp": "soon"},
        {"exp": None},
    ],
)
def test_claims_of_the_wrong_form_are_refused(change: dict[str, object]) -> None:
    assert code_of(forged(CLAIMS | change)) == "unauthenticated"


def test_other_kinds_and_algorithms_are_refused() -> None:
    assert code_of(forged(CLAIMS, typ="JWT")) == "unauthenticated"
    assert code_of(forged(CLAIMS, algorithm="HS512")) == "unauthenticated"
    assert code_of(forged(CLAIMS, algorithm="none")) == "unauthenticated"


@pytest.mark.parametrize("place", [5, 60, -5])
def test_a_changed_character_is_noticed(place: int) -> None:
    token = list(sign(CALLER, SECRET, NOW, 900))
    token[place] = "A" if token[place] != "A" else "B"
    assert code_of("".join(token)) == "unauthenticated"


def test_text_that_is_no_token_is_refused() -> None:
    brackets = encoded(b"[" * 1_400)
    for text in ("", "..", "a.b.c", "\udc80", "x" * 100_000, f"{brackets}.e30.e30", "ü.ü.ü"):
        assert code_of(text) == "unauthenticated"
