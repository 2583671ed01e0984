"""Any server that speaks OpenAI's chat completions: POST …/chat/completions, streamed.

TLS is verified and redirects are not followed: the key goes to the endpoint alone. Everything that
is read has a bound, and neither key nor texts are logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Any, Final

import aiohttp
import msgspec

from ai.engines.engine import EngineStatistics, Generation, Health
from ai.engines.sse import EventReader, TooLong
from config.errors import AppError

_log = logging.getLogger(__name__)

_CONNECT_SECONDS: Final = 5.0
_MAX_EVENT_BYTES: Final = 64 * 1024
_MAX_ERROR_BYTES: Final = 8 * 1024
# A token comes as an event of some 300 bytes.
_BYTES_PER_TOKEN: Final = 4 * 1024
_HEAD_BYTES: Final = 256 * 1024
_LAST_BYTES_SECONDS: Final = 0.1
_MAX_RETRY_SECONDS: Final = 60.0
_SOMETHING_ELSE: Final = "The model's server answers something else."
_TOO_LONG: Final = "maximum context length"  # what vLLM's server says, with a code for everything
_TOO_LONG_CODES: Final = frozenset({"context_length_exceeded", "exceed_context_size_error"})


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    error: msgspec.Raw | None = None


class _Error(msgspec.Struct):
    type: str | int | None = None
    code: str | int | None = None
    message: str | None = None


class _Refusal(msgspec.Struct):
    error: _Error


_decode_chunk: Final = msgspec.json.Decoder(_Chunk).decode
_decode_refusal: Final = msgspec.json.Decoder(_Refusal).decode


class OpenAiHttp:
    def __init__(
        self, endpoint: str, model: str, *, api_key: str = "", silence_seconds: float = 30.0
    ) -> None:
        """`endpoint` up to and with /v1; a server that sends nothing for `silence_seconds` has
        failed."""
        self.endpoint: Final = endpoint.rstrip("/")
        self.api_key: Final = api_key
        self._model = model
        self._silence_seconds = silence_seconds
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._running = 0
        self._health: Health = "idle"

    async def start(self) -> None:
        """Nothing to load: the first stream connects."""

    async def stream(self, generation: Generation) -> AsyncGenerator[str, None]:
        self._running += 1
        response = None
        try:
            try:
                response = await self._post(generation)
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # A kept connection that the server closed meanwhile: a new one tells whether it is
                # there. To ask twice changes nothing there.
                response = await self._post(generation)
            await _check(response)
            answer = _Answer(_HEAD_BYTES + generation.max_tokens * _BYTES_PER_TOKEN)
            async for received in response.content.iter_any():
                for piece in answer.feed(received):
                    yield piece
                if answer.is_done:
                    break
            answer.check_end()
            self._health = "ready"
            # The connection serves again if its answer ends at once.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_BYTES_SECONDS):
                    await response.content.read(1)
        except AppError as error:
            if error.code == "unavailable":
                self._health = "away"
            raise
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._health = "away"
            # The text of aiohttp's errors may hold the address, and with it a password.
            _log.warning("the model's server failed: %s", type(error).__name__)
            raise AppError("unavailable", "The model does not answer.") from error
        finally:
            self._running -= 1
            if response is not None:
                response.close()  # without waiting for what is unread: this is what cancels

    def health(self) -> Health:
        return self._health

    def statistics(self) -> EngineStatistics:
        return EngineStatistics(self._health, self._running, 0)

    async def close(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _post(self, generation: Generation) -> aiohttp.ClientResponse:
        if self._closed:
            raise AppError("unavailable", "The model does not answer.")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
            )
        headers = {"Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return await self._session.post(
            f"{self.endpoint}/chat/completions",
            data=msgspec.json.encode(self._body(generation)),
            headers=headers,
            timeout=aiohttp.ClientTimeout(
                total=generation.deadline_seconds,
                sock_connect=_CONNECT_SECONDS,
                sock_read=self._silence_seconds,
            ),
            allow_redirects=False,
        )

    def _body(self, generation: Generation) -> dict[str, Any]:
        messages = [{"role": each.role, "content": each.content} for each in generation.messages]
        body: dict[str, Any] = {
            "model": self._model,
            "messages": messages,
            "max_tokens": generation.max_tokens,
            "temperature": generation.temperature,
            "stream": True,
        }
        if generation.stop:
            body["stop"] = generation.stop
        return body


class _Answer:
    """The text in the bytes of a streamed answer."""

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes
        self._reader = EventReader(_MAX_EVENT_BYTES)
        self._finished = False
        self.is_done = False

    def feed(self, received: bytes) -> list[str]:
        self._left -= len(received)
        if self._left < 0:
            raise AppError("unavailable", "The model's answer has no end.")
        try:
            events = self._reader.feed(received)
        except TooLong:
            raise AppError("unavailable", _SOMETHING_ELSE) from None
        return [piece for data in events if (piece := self._piece(data))]

    def check_end(self) -> None:
        if not self._finished:
            raise AppError("unavailable", "The model's answer was cut off.")

    def _piece(self, data: bytes) -> str:
        if data == b"[DONE]":
            self._finished = self.is_done = True
            return ""
        try:
            chunk = _decode_chunk(data)
        except msgspec.MsgspecError:
            raise AppError("unavailable", _SOMETHING_ELSE) from None
        if chunk.error is not None and bytes(chunk.error) != b"null":
            raise AppError("unavailable", "The model failed.")
        text = ""
        for choice in chunk.choices[:1]:  # we ask for one
            self._finished = self._finished or choice.finish_reason is not None
            text = choice.delta.content or ""
        return text


async def _check(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == 200 and response.content_type == "text/event-stream":
        return
    if status == 429:
        seconds = _seconds(response.headers.get("Retry-After", ""))
        raise AppError("overloaded", "The model is busy.", retry_after_seconds=seconds)
    if status == 413 or (
        status in (400, 422) and _means_too_long(await _head(response, _MAX_ERROR_BYTES))
    ):
        raise AppError("too_large", "That is more than the model reads at once.")
    _log.error("the model's server answers %d, %s", status, response.content_type)
    if status in (400, 422):
        raise AppError("invalid", "The model refuses that.")
    raise AppError("unavailable", "The model does not answer.")


async def _head(response: aiohttp.ClientResponse, most: int) -> bytes:
    body = b""
    async with asyncio.timeout(_CONNECT_SECONDS):
        while len(body) < most and (part := await response.content.read(most - len(body))):
            body += part
    return body


def _means_too_long(body: bytes) -> bool:
    try:
        error = _decode_refusal(body).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    said = str(error.message).lower()
    return error.code in _TOO_LONG_CODES or error.type in _TOO_LONG_CODES or _TOO_LONG in said


def _seconds(text: str) -> float:
    return min(float(text), _MAX_RETRY_SECONDS) if text.isascii() and text.isdigit() else 1.0
