"""Links that work for whoever has them, until they expire: for downloads, which browsers make
without the Authorization header. Pure."""

from __future__ import annotations

import hashlib
import hmac


def signature_of(secret: str, path: str, expires: int) -> str:
    """`expires`: Unix seconds. `path` says what may be read and by which route."""
    message = f"link\n{path}\n{expires}".encode()
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def signed_link(secret: str, path: str, expires: int) -> str:
    return f"{path}?expires={expires}&signature={signature_of(secret, path, expires)}"


def is_good(secret: str, path: str, expires: int, signature: str, now: float) -> bool:
    expected = signature_of(secret, path, expires)
    return now < expires and hmac.compare_digest(expected.encode(), signature.encode())
