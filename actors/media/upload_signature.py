"""The signature in the address of an upload to a folder, as presigned URLs have one. Pure."""

from __future__ import annotations

import hmac
from typing import Final
from uuid import UUID

from config.errors import AppError

_PURPOSE: Final = b"serai media upload 1"


def sign(secret: str, media_id: UUID, size: int, expires: int) -> str:
    """`expires` in Unix seconds."""
    key = hmac.digest(secret.encode(), _PURPOSE, "sha256")
    return hmac.digest(key, f"{media_id}\n{size}\n{expires}".encode(), "sha256").hex()


def check(secret: str, media_id: UUID, size: int, expires: int, signature: str, now: float) -> None:
    """Raises AppError `not_permitted`."""
    good = sign(secret, media_id, size, expires)
    if not hmac.compare_digest(good.encode(), signature.encode()):
        raise AppError("not_permitted", "The address is not as it was given out.")
    if now > expires:
        raise AppError("not_permitted", "The address has expired: announce the file again.")
