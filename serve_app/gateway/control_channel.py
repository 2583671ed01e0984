"""What the server API asks of a user's connections, told to every gateway; who the gateways are.

    ServerApi ─▶ send ─▶ history of serai-control:all ─▶ every gateway ─▶ sessions of the user
    each gateway, every few seconds ─▶ its figures ─▶ serai-control:nodes ─▶ `nodes` of the others

Guarantee: a command is answered once it is in the channel's history. Every gateway that follows the
channel then applies it, once; commands of one user in the order of the channel. Gaps are filled
from the history. When the shard that holds the history is lost, the gateway that took a command
sends it again, for a minute, and every gateway reads what the new history holds. A gateway that
cannot reach the shard for longer than the history lasts (five minutes, of 10,000 commands at most)
misses what was said meanwhile. A command concerns the connections that there are when it is issued,
none that come later, whenever and how often it is read: so clocks of nodes must agree within
`SKEW_SECONDS`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Coroutine
from contextvars import Context
from typing import Any, Final, Protocol
from uuid import uuid4

import msgspec
from prometheus_client import Counter

from actors.shard_messages import Publication, PublishToChannel
from config.channels import CONTROL
from config.errors import AppError
from serve_app.gateway import codes
from serve_app.gateway.channel import Channel
from serve_app.gateway.channel_hub import ChannelHub
from serve_app.gateway.client_tokens import Override
from serve_app.gateway.codes import Disconnect, ReplyError
from serve_app.gateway.shard_link import ShardLinks

log = logging.getLogger(__name__)

CHANNEL: Final = f"{CONTROL}:all"
NODES: Final = f"{CONTROL}:nodes"
"""Of reports alone, which would push commands out of their history."""
SKEW_SECONDS: Final = 2.0
"""By how much a connection may seem younger than a command that was issued after it came."""
REPORT_SECONDS: Final = 3.0
NODE_SECONDS: Final = 3 * REPORT_SECONDS + 1.0
"""A gateway that was silent for longer is no longer counted."""
RESEND_SECONDS: Final = 60.0
_APPLY_SECONDS: Final = 10.0
"""One subscribe, of all connections of a user; a shard may be restarting meanwhile."""
_REMEMBERED: Final = 10_000
_PAGE: Final = 1_000

APPLIED = Counter("serai_realtime_control_total", "Control commands applied here", ["kind"])
LOST = Counter(
    "serai_realtime_control_lost_total", "Times that the control channel lost continuity"
)


class ToUser(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type"):
    """Base of commands: for all connections of `user`, of these only `client` or `session` where
    they are given."""

    user: str
    client: str = ""
    session: str = ""


class SubscribeUser(ToUser, frozen=True, tag="subscribe"):
    """`info` and `data` are encoded JSON, empty for none; `expire_at` in Unix seconds, 0 = never;
    `since` is (epoch, offset)."""

    channel: str = ""
    info: bytes = b""
    data: bytes = b""
    since: tuple[str, int] | None = None
    expire_at: float = 0.0
    override: Override = Override()


class UnsubscribeUser(ToUser, frozen=True, tag="unsubscribe"):
    """`channel` empty: of all channels."""

    channel: str = ""


class DisconnectUser(ToUser, frozen=True, tag="disconnect"):
    """Not the clients in `whitelist`."""

    code: int = 3503
    reason: str = "force disconnect"
    whitelist: tuple[str, ...] = ()


class RefreshUser(ToUser, frozen=True, tag="refresh"):
    """`expired` ends the connections, else they live until `expire_at` (Unix seconds, 0 = for
    ever)."""

    expired: bool = False
    expire_at: float = 0.0


class Node(msgspec.Struct, frozen=True, tag_field="type", tag="report"):
    """A gateway's figures; `uptime` in seconds."""

    uid: str
    name: str
    version: str
    num_clients: int
    num_users: int
    num_subs: int
    num_channels: int
    uptime: int


Command = SubscribeUser | UnsubscribeUser | DisconnectUser | RefreshUser


class _Message(msgspec.Struct, frozen=True):
    """`at`: when it was issued, in Unix seconds."""

    id: str
    body: Command | Node
    at: float


_DECODER: Final = msgspec.json.Decoder(_Message)


class ControlledSession(Protocol):
    """What commands need of a session."""

    @property
    def client(self) -> str: ...
    @property
    def session(self) -> str: ...
    @property
    def connected_at(self) -> float:
        """Unix seconds."""

    async def subscribe_by_server(
        self,
        channel: str,
        *,
        info: bytes = b"",
        data: bytes = b"",
        recover_since: tuple[str, int] | None = None,
        expire_at: float = 0.0,
        override: Override = Override(),  # noqa: B008 - frozen
    ) -> None: ...
    def unsubscribe_by_server(self, channel: str) -> None: ...
    def refresh_by_server(self, expire_at: float) -> None: ...
    def close(self, end: Disconnect) -> None: ...


class ControlChannel:
    """The watcher of both channels of one gateway. `describe` is asked for each report; `clock` is
    any monotonic one, `now` Unix time."""

    def __init__(
        self,
        hub: ChannelHub,
        links: ShardLinks,
        sessions_of: Callable[[str], Collection[ControlledSession]],
        describe: Callable[[], Node],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._hub = hub
        self._links = links
        self._sessions_of = sessions_of
        self._describe = describe
        self._clock = clock
        self._now = now
        self._nodes: dict[str, tuple[Node, float]] = {}
        self._applied: OrderedDict[str, None] = OrderedDict()
        self._sent: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._lanes: dict[str, deque[tuple[SubscribeUser | UnsubscribeUser, float]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._watched: Channel | None = None

    def start(self) -> Channel:
        """The channel of the commands: what is said before it is live is not heard."""
        self._watched = self._hub.watch(CHANNEL, self)
        self._spawn(self._report(self._hub.watch(NODES, self)))
        return self._watched

    async def stop(self) -> None:
        if self._watched is not None:
            self._watched = None
            self._hub.unwatch(CHANNEL)
            self._hub.unwatch(NODES)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def send(self, command: Command) -> None:
        """Returns once the command is in the history. Raises AppError; it may be applied all the
        same where no answer came."""
        id = uuid4().hex
        data = msgspec.json.encode(_Message(id, command, self._now()))
        now = self._clock()
        while self._sent and (
            next(iter(self._sent.values()))[0] <= now or len(self._sent) >= _REMEMBERED
        ):
            self._sent.popitem(last=False)
        self._sent[id] = (now + RESEND_SECONDS, data)
        await self._links.ask(CHANNEL, PublishToChannel(CHANNEL, data, key=id))

    def nodes(self) -> list[Node]:
        """This gateway as it is now, and those that were heard of lately."""
        own = self._describe()
        now = self._clock()
        self._nodes = {uid: known for uid, known in self._nodes.items() if known[1] > now}
        others = [node for uid, (node, _) in self._nodes.items() if uid != own.uid]
        return [own, *sorted(others, key=lambda node: node.uid)]

    # ------------------------------------------------------------ what the hub tells

    def on_publication(self, channel: Channel, publication: Publication) -> None:
        self._take(publication)

    def _take(self, publication: Publication) -> None:
        try:
            message = _DECODER.decode(publication.data)
        except msgspec.MsgspecError:
            # Of a gateway with another version, during a rolling restart.
            log.warning("a control command can't be read")
            return
        if isinstance(message.body, Node):
            self._nodes[message.body.uid] = (message.body, self._clock() + NODE_SECONDS)
            return
        if message.id in self._applied:
            return
        self._applied[message.id] = None
        if len(self._applied) > _REMEMBERED:
            self._applied.popitem(last=False)
        self._apply(message.body, message.at)

    def on_loss(self, channel: Channel) -> None:
        if channel.name == CHANNEL:  # lost reports are followed by others
            LOST.inc()
            self._spawn(self._recover())

    # ------------------------------------------------------------ commands

    def _apply(self, command: Command, at: float) -> None:
        APPLIED.labels(str(command.__struct_config__.tag)).inc()
        match command:
            case DisconnectUser():
                end = Disconnect(command.code, command.reason)
                for session in self._concerned(command, at):
                    if session.client not in command.whitelist:
                        session.close(end)
            case RefreshUser():
                for session in self._concerned(command, at):
                    if command.expired:
                        session.close(codes.expired())
                    else:
                        session.refresh_by_server(command.expire_at)
            case _:
                lane = self._lanes.get(command.user)
                if lane is not None:
                    lane.append((command, at))
                elif self._sessions_of(command.user):
                    lane = self._lanes[command.user] = deque(((command, at),))
                    self._spawn(self._run_lane(command.user, lane))

    def _concerned(self, command: ToUser, at: float) -> list[ControlledSession]:
        return [
            session
            for session in self._sessions_of(command.user)
            if session.connected_at <= at + SKEW_SECONDS
            and command.client in ("", session.client)
            and command.session in ("", session.session)
        ]

    async def _run_lane(
        self, user: str, lane: deque[tuple[SubscribeUser | UnsubscribeUser, float]]
    ) -> None:
        """A subscribe takes time: what follows it for the same user waits."""
        try:
            while lane:
                command, at = lane.popleft()
                if isinstance(command, SubscribeUser):
                    async with asyncio.TaskGroup() as group:
                        for session in self._concerned(command, at):
                            group.create_task(_subscribe(session, command))
                else:
                    for session in self._concerned(command, at):
                        session.unsubscribe_by_server(command.channel)
        finally:
            del self._lanes[user]

    # ------------------------------------------------------------ what runs

    async def _report(self, channel: Channel) -> None:
        try:
            await channel.wait_live()
        except AppError as error:
            log.warning("the channel of reports: %s", error)
        while True:
            data = msgspec.json.encode(_Message("", self._describe(), self._now()))
            try:
                await self._links.ask(NODES, PublishToChannel(NODES, data))
            except AppError as error:
                log.info("telling of this gateway failed: %s", error)
            await asyncio.sleep(REPORT_SECONDS)

    async def _recover(self) -> None:
        """The others may have sent their commands again before this gateway followed the new
        history, and this gateway's own may be lost. Both are told apart by their ids."""
        end = self._clock() + RESEND_SECONDS
        while True:
            try:
                await self._reread()
                for id, (until, data) in list(self._sent.items()):
                    if until > self._clock():
                        await self._links.ask(CHANNEL, PublishToChannel(CHANNEL, data, key=id))
                return
            except AppError as error:
                log.warning("recovering the control channel: %s", error)
            if self._clock() > end:
                return
            await asyncio.sleep(1.0)

    async def _reread(self) -> None:
        after = 0
        while True:
            reply = await self._links.history(CHANNEL, after, _PAGE)
            for publication in reply.publications:
                self._take(publication)
            if not reply.publications:
                return
            after = reply.publications[-1].offset

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _subscribe(session: ControlledSession, command: SubscribeUser) -> None:
    try:
        async with asyncio.timeout(_APPLY_SECONDS):
            await session.subscribe_by_server(
                command.channel,
                info=command.info,
                data=command.data,
                recover_since=command.since,
                expire_at=command.expire_at,
                override=command.override,
            )
    except (AppError, ReplyError, Disconnect, TimeoutError) as error:
        log.info("a connection could not be subscribed to %s: %s", command.channel, error)
    except Exception:
        log.exception("a connection could not be subscribed to %s", command.channel)
