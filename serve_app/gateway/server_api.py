"""The server API: what an operator's own programs may do, as Centrifugo's HTTP API offers it.

    POST /api/<method> ─▶ api/endpoint.py (the key) ─▶ ServerApi.call ─▶ shards, or control_channel

Whoever has the key may use every channel of the operator's namespaces. Serai's own are read-only:
their writers own the order of their events, and Accounts who may read them.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from actors import shard_messages as m
from config.channels import Namespace, Namespaces, is_internal
from config.edge import Realtime as RealtimeSettings
from config.errors import AppError
from serve_app.gateway import codes
from serve_app.gateway import server_api_messages as api
from serve_app.gateway.client_tokens import Override
from serve_app.gateway.codes import ReplyError
from serve_app.gateway.control_channel import (
    Command,
    ControlChannel,
    DisconnectUser,
    RefreshUser,
    SubscribeUser,
    UnsubscribeUser,
)

log = logging.getLogger(__name__)

AskShard = Callable[[str, m.ShardRequest], Awaitable[m.ShardReply]]
"""(channel, request) to the channel's shard. Raises AppError."""
AskAllShards = Callable[[m.ShardRequest], Awaitable[list[m.ShardReply]]]
PublishToShard = Callable[[m.PublishToChannel], Awaitable[m.PublishReply]]

_Reply = TypeVar("_Reply")

_PARALLEL: Final = 64
"""Commands of one request that are under way at a time."""
_MAX_COMMANDS: Final = 1_000
_MAX_KEY_CHARACTERS: Final = 256
# Where WebSocket leaves codes to applications, without those that libraries use themselves.
_DISCONNECT_CODES: Final = range(3_000, 5_000)
_MAX_REASON_BYTES: Final = 123  # RFC 6455, 5.5: a close frame has 125, 2 are the code's

_encode: Final = msgspec.json.Encoder().encode


class _Method(NamedTuple):
    decoder: msgspec.json.Decoder[Any]
    run: Callable[[Any], Awaitable[Any]]


class ServerApi:
    """Knows nothing of HTTP; whoever calls it holds the key."""

    METHODS: Final = (
        "publish", "broadcast", "subscribe", "unsubscribe", "disconnect", "refresh", "presence",
        "presence_stats", "history", "history_remove", "channels", "info", "batch",
    )  # fmt: skip

    def __init__(
        self,
        settings: RealtimeSettings,
        namespaces: Namespaces,
        ask: AskShard,
        ask_all: AskAllShards,
        publish: PublishToShard,
        control: ControlChannel,
    ) -> None:
        self._settings = settings
        self._namespaces = namespaces
        self._ask = ask
        self._ask_all = ask_all
        self._publish_to_shard = publish
        self._control = control
        self._batch = msgspec.json.Decoder(api.BatchRequest)
        self._methods = {
            "publish": _method(api.PublishRequest, self._publish),
            "broadcast": _method(api.BroadcastRequest, self._broadcast),
            "subscribe": _method(api.SubscribeRequest, self._subscribe),
            "unsubscribe": _method(api.UnsubscribeRequest, self._unsubscribe),
            "disconnect": _method(api.DisconnectRequest, self._disconnect),
            "refresh": _method(api.RefreshRequest, self._refresh),
            "presence": _method(api.ChannelRequest, self._presence),
            "presence_stats": _method(api.ChannelRequest, self._presence_stats),
            "history": _method(api.HistoryRequest, self._history),
            "history_remove": _method(api.ChannelRequest, self._history_remove),
            "channels": _method(api.ChannelsRequest, self._channels),
            "info": _method(api.InfoRequest, self._info),
        }

    async def call(self, method: str, body: bytes) -> bytes:
        """The answer to one of METHODS: `{"result":…}`, `{"error":…}` or, for a batch, `{"replies":
        …}`; what clients call an error is none of HTTP's. Raises nothing but its cancellation."""
        try:
            if method == "batch":
                return _encode({"replies": await self._run_batch(body)})
            return _encode({"result": await self._run(method, body)})
        except ReplyError as error:
            return _encode({"error": api.Error(error.code, error.message)})

    async def _run(self, method: str, body: bytes | msgspec.Raw) -> Any:
        """Raises ReplyError."""
        known = self._methods.get(method)
        if known is None:
            raise ReplyError(104, "method not found")
        request = _decode(known.decoder, body)
        try:
            return await known.run(request)
        except AppError as error:
            raise codes.reply_error(error) from None
        except ReplyError:
            raise
        except Exception:
            log.exception("%s of the server API failed", method)
            raise codes.internal() from None

    async def _run_batch(self, body: bytes) -> list[dict[str, Any]]:
        request = _decode(self._batch, body)
        if len(request.commands) > _MAX_COMMANDS:
            raise codes.limit_exceeded()
        if not request.parallel:
            return [await self._run_command(command) for command in request.commands]
        return await _each(request.commands, self._run_command)

    async def _run_command(self, command: dict[str, msgspec.Raw]) -> dict[str, Any]:
        method = next((name for name in command if name in self._methods), "")
        try:
            return {method: await self._run(method, command.get(method, b""))}
        except ReplyError as error:
            return {"error": api.Error(error.code, error.message)}

    # ------------------------------------------------------------ publishing

    async def _publish(self, request: api.PublishRequest) -> api.PublishResult:
        data = _json(request.data, request.b64data)
        return await self._publish_to(request.channel, data, request)

    async def _broadcast(self, request: api.BroadcastRequest) -> api.BroadcastResult:
        if not request.channels:
            raise codes.bad_request()
        data = _json(request.data, request.b64data)

        async def publish(channel: str) -> api.PublishResponse:
            try:
                return api.PublishResponse(result=await self._publish_to(channel, data, request))
            except AppError as error:
                failure = codes.reply_error(error)
            except ReplyError as error:
                failure = error
            return api.PublishResponse(error=api.Error(failure.code, failure.message))

        return api.BroadcastResult(await _each(request.channels, publish))

    async def _publish_to(
        self, channel: str, data: bytes, request: api.PublishRequest | api.BroadcastRequest
    ) -> api.PublishResult:
        row = self._row(channel)
        if row.subscribe == "content":
            raise codes.permission_denied()
        key = request.idempotency_key or ""
        if not data or len(key) > _MAX_KEY_CHARACTERS:
            raise codes.bad_request()
        publish = m.PublishToChannel(
            channel, data, tags=request.tags or None, key=key, keep=not request.skip_history
        )
        reply = await self._publish_to_shard(publish)
        return api.PublishResult(reply.offset, reply.epoch)

    # ------------------------------------------------------------ reading

    async def _presence(self, request: api.ChannelRequest) -> api.PresenceResult:
        if self._row(request.channel).presence != "clients":
            raise codes.not_available()
        ask = m.ReadClients(request.channel)
        reply = await self._ask_for(m.ClientsReply, request.channel, ask)
        return api.PresenceResult({c: msgspec.Raw(info) for c, info in reply.clients.items()})

    async def _presence_stats(self, request: api.ChannelRequest) -> api.PresenceStatsResult:
        if self._row(request.channel).presence == "off":
            raise codes.not_available()
        ask = m.ReadPresence(request.channel)
        reply = await self._ask_for(m.PresenceReply, request.channel, ask)
        return api.PresenceStatsResult(reply.clients, reply.users)

    async def _history(self, request: api.HistoryRequest) -> api.HistoryResult:
        """At most what clients get a call, whatever is asked for."""
        row = self._row(request.channel)
        if row.history == "none":
            raise codes.not_available()
        since, reverse = request.since, bool(request.reverse)
        most = row.history_page(self._settings.history_limit)
        limit = most if (request.limit or 0) < 0 else min(request.limit or 0, most)
        after = since.offset if since is not None else 0
        if reverse and since is not None and after <= 1:
            limit = 0  # nothing is older; to the shard 0 would mean "from the top"
        ask = m.ReadHistory(request.channel, after, limit, reverse)
        reply = await self._ask_for(m.HistoryReply, request.channel, ask)
        if reply.top is None:
            raise codes.unknown_channel()
        epoch, last = reply.top.epoch, reply.top.offset
        publications = reply.publications[:limit]
        if since is not None:
            first = publications[0].offset if publications else last + 1
            trimmed = limit > 0 and not reverse and first > after + 1
            if since.epoch not in ("", epoch) or after > last or trimmed:
                raise codes.unrecoverable_position()
        return api.HistoryResult([_publication(p) for p in publications], last, epoch)

    async def _history_remove(self, request: api.ChannelRequest) -> api.Nothing:
        if self._row(request.channel).history != "memory":
            raise codes.not_available()
        await self._ask(request.channel, m.RemoveHistory(request.channel))
        return api.Nothing()

    async def _channels(self, request: api.ChannelsRequest) -> api.ChannelsResult:
        found: dict[str, api.ChannelInfo] = {}
        for reply in await self._ask_all(m.ListChannels(request.pattern or "")):
            assert isinstance(reply, m.ChannelsReply)
            if reply.cut:
                raise codes.limit_exceeded()  # a pattern that fits fewer may help
            found.update((name, api.ChannelInfo(count)) for name, count in reply.clients.items())
        return api.ChannelsResult(
            {name: info for name, info in found.items() if not is_internal(name)}
        )

    async def _info(self, request: api.InfoRequest) -> api.InfoResult:
        return api.InfoResult(self._control.nodes())

    # ------------------------------------------------------------ connections

    async def _subscribe(self, request: api.SubscribeRequest) -> api.Nothing:
        row = self._row(request.channel)
        if row.subscribe == "content":
            raise codes.permission_denied()
        given = request.recover_since
        since = (given.epoch, given.offset) if given is not None else None
        if since is None and row.recovery == "stream":
            # Gateways apply it after the answer: what is published in between is caught up with.
            ask = m.ReadHistory(request.channel, 0, 0, False)
            top = (await self._ask_for(m.HistoryReply, request.channel, ask)).top
            since = (top.epoch, top.offset) if top is not None else None
        return await self._command(
            SubscribeUser(
                request.user,
                request.client or "",
                request.session or "",
                channel=request.channel,
                info=_json(request.info, request.b64info),
                data=_json(request.data, request.b64data),
                since=since,
                expire_at=float(request.expire_at or 0),
                override=request.override or Override(),
            )
        )

    async def _unsubscribe(self, request: api.UnsubscribeRequest) -> api.Nothing:
        if request.channel:
            self._row(request.channel)
        return await self._command(
            UnsubscribeUser(
                request.user, request.client or "", request.session or "", channel=request.channel
            )
        )

    async def _disconnect(self, request: api.DisconnectRequest) -> api.Nothing:
        command = DisconnectUser(
            request.user,
            request.client or "",
            request.session or "",
            whitelist=tuple(request.whitelist or ()),
        )
        if request.disconnect is not None:
            code, reason = request.disconnect.code, request.disconnect.reason
            if code not in _DISCONNECT_CODES or len(reason.encode()) > _MAX_REASON_BYTES:
                raise codes.bad_request()
            command = msgspec.structs.replace(command, code=code, reason=reason)
        return await self._command(command)

    async def _refresh(self, request: api.RefreshRequest) -> api.Nothing:
        return await self._command(
            RefreshUser(
                request.user,
                request.client or "",
                request.session or "",
                expired=bool(request.expired),
                expire_at=float(request.expire_at or 0),
            )
        )

    async def _command(self, command: Command) -> api.Nothing:
        if not command.user:
            raise codes.bad_request()
        await self._control.send(command)
        return api.Nothing()

    # ------------------------------------------------------------ channels

    def _row(self, channel: str) -> Namespace:
        if not channel.isprintable() or not channel or not self._is_short(channel):
            raise codes.bad_request()
        row = self._namespaces.of(channel)
        if row is None or is_internal(channel):
            raise codes.unknown_channel()
        return row

    def _is_short(self, channel: str) -> bool:
        return len(channel.encode()) <= self._settings.max_channel_length

    async def _ask_for(self, kind: type[_Reply], channel: str, request: m.ShardRequest) -> _Reply:
        reply = await self._ask(channel, request)
        assert isinstance(reply, kind)
        return reply


def _method(kind: type[Any], run: Callable[[Any], Awaitable[Any]]) -> _Method:
    return _Method(msgspec.json.Decoder(kind), run)


_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


async def _each(items: list[_Item], run: Callable[[_Item], Awaitable[_Result]]) -> list[_Result]:
    """The results in order; a bounded number is under way at a time."""
    slots = asyncio.Semaphore(_PARALLEL)

    async def one(item: _Item) -> _Result:
        async with slots:
            return await run(item)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in items]
    return [task.result() for task in tasks]


def _decode(decoder: msgspec.json.Decoder[Any], body: bytes | msgspec.Raw) -> Any:
    try:
        return decoder.decode(body or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise codes.bad_request() from None


def _json(plain: msgspec.Raw, encoded: str | None) -> bytes:
    """Encoded JSON of one line, otherwise as it came; empty where there is none. Raises ReplyError
    for what is no JSON: it would break the frames of everybody who hears it."""
    try:
        text = base64.b64decode(encoded, validate=True) if encoded else bytes(plain)
        line = msgspec.json.format(text, indent=-1) if text else b""
        line.decode()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise codes.bad_request() from None
    return line


def _publication(publication: m.Publication) -> api.Publication:
    return api.Publication(
        msgspec.Raw(publication.data),
        publication.offset,
        publication.tags or None,
        msgspec.Raw(publication.info) if publication.info else msgspec.UNSET,
        publication.time_ms,
    )
