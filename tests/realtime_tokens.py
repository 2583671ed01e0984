"""Tokens as an application issues them for its own users."""

from __future__ import annotations

import time
from typing import Any

import jwt

TOKEN_SECRET = "the secret of an application of yours"


def connection_token(user: str, **claims: Any) -> str:
    return jwt.encode({"sub": user, **claims}, TOKEN_SECRET, "HS256")


def subscription_token(user: str, channel: str, **claims: Any) -> str:
    return jwt.encode({"sub": user, "channel": channel, **claims}, TOKEN_SECRET, "HS256")


def within(seconds: float) -> int:
    """Unix time so long from now; negative: ago."""
    return int(time.time() + seconds)
