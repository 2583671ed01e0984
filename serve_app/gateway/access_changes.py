"""What a gateway does when a community is no longer public: asks again, and forgets.

    serai-access:all ─▶ on_publication ─▶ version + 1: subscribes under way and grants for everybody
                                          are asked about once more
                                       └▶ every subscriber of the community's channels is judged

One stream for all communities, in Postgres, which every gateway follows from its start: whom an
event concerns is found here, and no gateway has to know beforehand which thread belongs to which
community (docs/adr/0010); a thread that moderators move is told there too. A ban or a membership
that ends comes by the account's own stream (account_sessions.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from prometheus_client import Counter

from actors.messages import Caller
from actors.shard_messages import Publication
from config.channels import ACCESS_CHANNEL
from config.errors import AppError
from serve_app.gateway import reauthorization
from serve_app.gateway.channel import Channel
from serve_app.gateway.channel_hub import ChannelHub
from serve_app.gateway.subscription import Subscription

if TYPE_CHECKING:
    from serve_app.gateway.services import Authorize
    from serve_app.gateway.session import Session

log = logging.getLogger(__name__)

_AT_ONCE: Final = 512
"""Callers that Accounts is asked about together: two batches of a handle."""

_FIRST_SECONDS: Final = 1.0

CHANGES = Counter(
    "serai_realtime_access_changes_total", "Communities that this gateway asked again about"
)

_Holder = tuple["Session", Subscription]


class _AccessEvent(msgspec.Struct, frozen=True):
    """`post_id`: a thread that belongs to this community from now on; else the community itself is
    no longer public."""

    community_id: UUID
    post_id: UUID | None = None


_DECODER: Final = msgspec.json.Decoder(_AccessEvent)


class AccessChanges:
    """The watcher of the access channel of one gateway. `version` counts what it has heard: who
    was permitted under an earlier one is to be asked about again."""

    def __init__(
        self, hub: ChannelHub, authorize: Authorize, sessions: Collection[Session]
    ) -> None:
        self._hub = hub
        self._authorize = authorize
        self._sessions = sessions
        self._tasks: set[asyncio.Task[None]] = set()
        self.version = 0

    def start(self, first: Channel | None = None) -> None:
        """`first` is to be live before: the shard answers for channels that come together at once,
        and for this one it has to ask Postgres."""
        self._spawn(self._begin(first))

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hub.unwatch(ACCESS_CHANNEL)

    async def _begin(self, first: Channel | None) -> None:
        """Whoever came before the channel was live may have been let in by what was not heard."""
        if first is not None:
            with contextlib.suppress(AppError, TimeoutError):
                async with asyncio.timeout(_FIRST_SECONDS):
                    await first.wait_live()
        try:
            await self._hub.watch(ACCESS_CHANNEL, self).wait_live()
        except AppError as error:
            log.error("changes of access are not heard: %s", error)
        self._ask_again(None)

    # ------------------------------------------------------------ what the hub tells

    def on_publication(self, channel: Channel, publication: Publication) -> None:
        try:
            event = _DECODER.decode(publication.data)
        except msgspec.MsgspecError:
            log.warning("an event of %s can't be read", channel.name)
            self._ask_again(None)
            return
        community = str(event.community_id)
        if event.post_id is None:
            self._ask_again(community)
            return
        self.version += 1  # grants that are on their way name the community from before
        thread = self._hub.find(f"thread:{event.post_id}")
        if thread is not None:
            thread.community = community

    def on_loss(self, channel: Channel) -> None:
        self._ask_again(None)

    # ------------------------------------------------------------ who is still permitted

    def _ask_again(self, community: str | None) -> None:
        """None: about every community."""
        self.version += 1
        CHANGES.inc()
        holders: dict[tuple[str, Caller], list[_Holder]] = {}
        for session in self._sessions:
            for name, subscription in session.subscriptions.items():
                if subscription is None:
                    continue  # its subscribe sees the version
                of = subscription.channel.community
                if of and community in (None, of):
                    key = name, session.caller
                    holders.setdefault(key, []).append((session, subscription))
        if holders:
            self._spawn(self._judge(holders))

    async def _judge(self, holders: dict[tuple[str, Caller], list[_Holder]]) -> None:
        questions = list(holders)
        for start in range(0, len(questions), _AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for name, caller in questions[start : start + _AT_ONCE]:
                    group.create_task(self._judge_one(name, caller, holders[name, caller]))

    async def _judge_one(self, name: str, caller: Caller, holders: list[_Holder]) -> None:
        """All guests are one caller. Nothing raises: one bad answer must not spare the others."""
        try:
            await reauthorization.authorize(self._authorize, caller, name)
        except AppError as error:
            why = reauthorization.ending(error)
        except Exception:
            log.exception("a subscription could not be judged")
            why = reauthorization.ending(AppError("unavailable"))
        else:
            return
        for session, subscription in holders:
            session.end_subscription(name, subscription, why)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
