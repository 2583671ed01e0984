"""Refresh tokens: opaque to clients, rotated at each use, a family per log-in.

The scheme is refresh token rotation with reuse detection of RFC 9700 (OAuth 2.0 Security BCP),
section 4.14.2: each refresh invalidates the token used; an invalidated one that comes back means
that two parties hold the family, so all of it ends.

Two additions to it:
- A successor is derived from its predecessor with the server's key. Two tabs that refresh at once,
  or a client whose reply was lost, get the same successor, and only its hash has to be stored.
- The token names its session and carries a tag made with the server's key. The tag tells an old
  token of a family, which ends it, from an invented one, which must not be able to.

Form: base64url(session id 16 bytes, nonce 32 bytes, tag 16 bytes), no padding: 86 characters. The
first nonce of a family is random; later ones are HMAC-SHA256 outputs, as unpredictable as the key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

import msgspec

if TYPE_CHECKING:
    from storage.sessions import Session

TOKEN_CHARACTERS: Final = 86
_NONCE_BYTES: Final = 32
_TAG_BYTES: Final = 16


class RefreshToken(msgspec.Struct, frozen=True, gc=False):
    """`genuine` False: this server (with its present secret) has not made it."""

    session_id: UUID
    nonce: bytes
    text: str
    genuine: bool

    @property
    def hash(self) -> bytes:
        """SHA-256, all that is stored: the token has too much entropy to be guessed from it."""
        return hashlib.sha256(self.text.encode()).digest()

    def __repr__(self) -> str:
        return f"RefreshToken(session_id={self.session_id}, genuine={self.genuine})"


class RefreshTokens:
    """Makes and reads the tokens of one server secret."""

    def __init__(self, secret: str, *, random: Callable[[int], bytes] = os.urandom) -> None:
        if not secret:
            raise ValueError("the secret is empty")
        self._key = hmac.digest(secret.encode(), b"serai refresh token", hashlib.sha256)
        self._random = random

    def first(self, session_id: UUID) -> RefreshToken:
        return self._make(session_id, self._random(_NONCE_BYTES))

    def successor(self, token: RefreshToken) -> RefreshToken:
        """Always the same for the same token."""
        return self._make(token.session_id, self._mac(b"next", token.session_id, token.nonce))

    def read(self, text: str) -> RefreshToken | None:
        """None for what has not the form of a token."""
        if len(text) != TOKEN_CHARACTERS or not text.isascii():
            return None
        try:
            raw = base64.b64decode(text + "==", altchars=b"-_", validate=True)
        except binascii.Error:
            return None
        session_id = UUID(bytes=raw[:16])
        nonce = raw[16 : 16 + _NONCE_BYTES]
        expected = self._make(session_id, nonce)
        return RefreshToken(session_id, nonce, text, hmac.compare_digest(expected.text, text))

    def _make(self, session_id: UUID, nonce: bytes) -> RefreshToken:
        tag = self._mac(b"tag", session_id, nonce)[:_TAG_BYTES]
        raw = session_id.bytes + nonce + tag
        text = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        return RefreshToken(session_id, nonce, text, True)

    def _mac(self, label: bytes, session_id: UUID, nonce: bytes) -> bytes:
        return hmac.digest(self._key, label + session_id.bytes + nonce, hashlib.sha256)


Judgement = Literal["repeated", "reused", "over", "unknown"]


def judge(
    session: Session | None, token: RefreshToken, successor: RefreshToken, grace_seconds: float
) -> Judgement:
    """Why a token could not be rotated.

    repeated: the predecessor within its grace, answered with the same successor. reused: an old
    token of a live family, which must end. over: once good, but its session has ended or expired,
    or its account may not act. unknown: not ours, and without any effect.
    """
    if session is None:
        return "unknown"
    newest = token.hash == session.token_hash
    previous = token.hash == session.previous_hash
    if not (newest or previous or token.genuine):
        return "unknown"
    if newest or not session.live:
        return "over"
    if previous and session.rotated_seconds <= grace_seconds:
        # Unequal when the server's secret was changed between: nobody's fault.
        return "repeated" if successor.hash == session.token_hash else "unknown"
    return "reused"
