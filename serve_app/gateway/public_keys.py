"""Public keys of an application's identity provider, by URL (JWK set, RFC 7517)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import aiohttp
import jwt
import msgspec

from config.errors import AppError

log = logging.getLogger(__name__)

FETCH_SECONDS: Final = 5.0
MAX_BYTES: Final = 262_144
FRESH_SECONDS: Final = 3_600.0
"""How long a key is believed without looking again; a set that can't be fetched stays longer."""
RETRY_SECONDS: Final = 30.0
"""Tokens with invented key ids must not make us ask without end."""


class PublicKeys:
    """One fetch at a time, whoever asks. Keys that were known stay when a fetch fails."""

    def __init__(self, url: str, now: Callable[[], float] | None = None) -> None:
        """`now` replaces the clock of the running loop."""
        self._url = url
        self._now = now
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = self._known_since = float("-inf")
        self._fetch: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    async def find(self, kid: str, algorithm: str) -> Any:
        """Raises AppError `unauthenticated` for a key that isn't in the set as it was read after
        this question, `unavailable` while nobody could say: that the provider has just changed its
        keys must send nobody away for good."""
        now = self._time()
        stale = now - self._fetched_at > FRESH_SECONDS
        if (stale or kid not in self._keys) and now - self._tried_at > RETRY_SECONDS:
            self._tried_at = now
            self._fetch = asyncio.get_running_loop().create_task(self._refresh())
        if self._fetch is not None and (kid not in self._keys):
            await asyncio.shield(self._fetch)
        key = self._keys.get(kid)
        if key is None:
            if self._known_since < now:
                raise AppError("unavailable", "The public keys can't be read again yet.")
            raise AppError("unauthenticated", "The token is not valid.")
        # An RSA key without "alg" serves every RS; of the others the curve says which one.
        fits = (
            algorithm.startswith("RS") if key.key_type == "RSA" else algorithm == key.algorithm_name
        )
        if not fits:
            raise AppError("unauthenticated", "The token is not valid.")
        return key.key

    async def _refresh(self) -> None:
        began = self._tried_at
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                body = await self._get()
            found = jwt.PyJWKSet.from_dict(msgspec.json.decode(body, type=dict[str, Any]))
        except (
            aiohttp.ClientError,
            TimeoutError,
            msgspec.MsgspecError,
            jwt.PyJWTError,
            # What PyJWT makes of a set whose members are anything.
            ValueError,
            TypeError,
            AttributeError,
            KeyError,
        ) as error:
            log.warning("public keys of realtime tokens: %s", type(error).__name__)
            return
        self._keys = {str(key.key_id or ""): key for key in found.keys}
        self._known_since = began
        self._fetched_at = self._time()

    async def _get(self) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        async with self._session.get(self._url, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > MAX_BYTES:
                    raise ValueError("too long")
            return bytes(body)

    async def close(self) -> None:
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.gather(self._fetch, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _time(self) -> float:
        return self._now() if self._now is not None else asyncio.get_running_loop().time()
