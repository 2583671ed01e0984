"""How the gateways of one server know each other: by a key that all of them derive.

A client brings along the name of the gateway that holds its session. The name is an address that
requests are sent to, so it carries a signature: nobody can make a gateway call another place. What
one gateway sends to another is signed too, as the private port is not for clients.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Final

import aiohttp
from prometheus_client import Counter

from config.errors import AppError

SIGNATURE: Final = "Serai-Gateway"
"""The header of a request from another gateway."""
SIGNATURE_SECONDS: Final = 60
"""How long a signature holds, and how much the clocks of two gateways may differ."""
FORWARD_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 2.0

_CONTEXT: Final = b"serai between gateways"
_NAME: Final = b"name\n"
_BODY: Final = b"body\n"
_TIME_DIGITS: Final = 12
_CONNECTIONS: Final = 128
_CONNECTIONS_OF_ONE: Final = 16
_ERRORS: Final = {404: "not_found", 400: "invalid", 413: "too_large", 429: "rate_limited"}

UNANSWERED: Final = Counter(
    "serai_realtime_forwards_unanswered_total", "Frames sent to another gateway without an answer"
)


class Peers:
    """`address` is this gateway's own private one, `host:port`, known once it listens. Without a
    secret it knows no other gateway."""

    def __init__(
        self,
        secret: str,
        address: Callable[[], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        material = secret.encode() or secrets.token_bytes(32)
        self._key = hmac.digest(material, _CONTEXT, "sha256")
        self._address = address
        self._own = ("", "")
        self._clock = clock
        self._client: aiohttp.ClientSession | None = None
        self._stopped = False

    def own_name(self) -> str:
        """Told to every client that connects."""
        address = self._address()
        if self._own[0] != address:
            self._own = (address, self._name(address))
        return self._own[1]

    def _name(self, address: str) -> str:
        return f"{address}-{self._mac(_NAME + address.encode())}"

    def _mac(self, message: bytes) -> str:
        return hmac.digest(self._key, message, "sha256").hex()

    def address_of(self, name: str) -> str | None:
        """Where another gateway of this server listens privately; None for anything else."""
        address = name.rpartition("-")[0]
        genuine = hmac.compare_digest(
            self._name(address).encode(errors="replace"), name.encode(errors="replace")
        )
        return address if genuine and address != self._address() else None

    def sign(self, address: str, body: bytes) -> str:
        """What a request with this body to the gateway at `address` carries, from now on."""
        return self._signature(address, body, str(int(self._clock())))

    def _signature(self, address: str, body: bytes, seconds: str) -> str:
        head = f"{address}\n{seconds}\n".encode(errors="replace")
        return f"{seconds}-{self._mac(_BODY + head + body)}"

    def sent(self, signature: str, body: bytes) -> bool:
        """Whether one of the gateways has sent this body, here and not long ago."""
        seconds = signature.partition("-")[0]
        if not (seconds.isascii() and seconds.isdecimal() and len(seconds) <= _TIME_DIGITS):
            return False
        made = self._signature(self._address(), body, seconds).encode()
        genuine = hmac.compare_digest(made, signature.encode(errors="replace"))
        return genuine and abs(self._clock() - int(seconds)) <= SIGNATURE_SECONDS

    async def forward(self, address: str, path: str, body: bytes, content_type: str) -> None:
        """Returns when the other one has taken it, or may have: what was sent and not answered in
        time is never reported as failed, as it would be sent again and carried out twice. Raises
        AppError: what the other one answered, `not_found` where nothing listens any more,
        `unavailable` where it can't be reached in time."""
        if self._stopped:
            raise AppError("unavailable", "This gateway is being stopped.")
        if self._client is None:
            connector = aiohttp.TCPConnector(limit=_CONNECTIONS, limit_per_host=_CONNECTIONS_OF_ONE)
            self._client = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=FORWARD_SECONDS,
                    connect=_CONNECT_SECONDS,  # the wait for a free connection too
                ),
            )
        headers = {"Content-Type": content_type, SIGNATURE: self.sign(address, body)}
        try:
            async with self._client.post(
                f"http://{address}{path}", data=body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
        except aiohttp.ClientConnectorError:
            raise AppError("not_found", "That gateway is no more.") from None
        except aiohttp.ConnectionTimeoutError:
            raise AppError("unavailable", "That gateway can't be reached.") from None
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError):
            UNANSWERED.inc()
            return
        if not 200 <= status < 300:
            raise AppError(_ERRORS.get(status, "unavailable"), "The session's gateway refused.")

    async def stop(self) -> None:
        self._stopped = True
        client, self._client = self._client, None
        if client is not None:
            await client.close()
