"""The subscribers of one channel, in groups that are sent the same bytes.

    publication ─▶ forms: plain · patched · in full · visit, each encoded once per codec
                     └─▶ groups by (wire, wants): the frames that wait for this tick's end

Deltas are a chain: each publication of kind 0 is the base of the next, ephemeral ones too, because
SDKs keep the data of whatever came last. A group is chained when its members have the same base.
Who has none (new, or left out of an ephemeral publication) gets the next one in full and is chained
from the flush after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from actors.shard_messages import KIND_PUBLICATION, Publication
from serve_app.gateway.channel import Crowd, Subscriber, Wants
from serve_app.gateway.protocol import Codec, Outlet, Wire

CreateDelta = Callable[[bytes, bytes], bytes]
"""(source, target): a patch that makes target of source."""

GroupKey = tuple[Wire, Wants, bool]
"""Wire, wants, and whether the members are chained."""

_FULL: Final = b""


def no_delta(source: bytes, target: bytes) -> bytes:
    """Every publication goes in full."""
    return target


class Group:
    """`base`: the data of the publication that the next patch is against, None where there is none.
    `publications` are those of the `pending` frames."""

    __slots__ = (
        "_crowd",
        "base",
        "chained",
        "delta",
        "ephemeral",
        "members",
        "passive",
        "pending",
        "pending_bytes",
        "publications",
        "visits",
        "wants",
        "wire",
    )

    def __init__(self, wire: Wire, wants: Wants, base: bytes | None = None) -> None:
        self.wire = wire
        self.wants = wants
        # Flags are slow to ask, and asked for each publication.
        self.delta = Wants.DELTA in wants
        self.passive = Wants.PASSIVE in wants
        self.visits = Wants.JOIN_LEAVE in wants and not self.passive
        self.base = base
        self.chained = base is not None
        self.members: dict[Outlet, Subscriber] = {}
        self._crowd: Crowd | None = None
        self.pending: list[bytes] = []
        self.publications: list[Publication] = []
        self.pending_bytes = 0
        self.ephemeral = 0

    @property
    def crowd(self) -> Crowd:
        """The members' outlets."""
        if self._crowd is None:
            self._crowd = Crowd(self.members)
        return self._crowd

    def add(self, members: Mapping[Outlet, Subscriber]) -> None:
        self.members.update(members)
        self._crowd = None

    def remove(self, outlet: Outlet) -> Subscriber | None:
        """None: it was not there."""
        subscriber = self.members.pop(outlet, None)
        if subscriber is not None:
            self._crowd = None
        return subscriber

    def put(self, message: bytes, publication: Publication) -> None:
        frame = self.wire.frame((message,))
        self.pending.append(frame)
        self.publications.append(publication)
        self.pending_bytes += len(frame)
        if not publication.offset:
            self.ephemeral += 1

    def clear(self) -> None:
        self.pending.clear()
        self.publications.clear()
        self.pending_bytes = self.ephemeral = 0

    def without_ephemeral(self) -> tuple[bytes, bool]:
        """What is pending without its ephemeral part, and whether the chain is broken after it."""
        frames = []
        broken = False
        for frame, publication in zip(self.pending, self.publications, strict=True):
            if not publication.offset:
                broken = broken or (self.delta and publication.kind == KIND_PUBLICATION)
            elif broken:
                full = self.wire.codec.delta_publication(publication.channel, publication, _FULL)
                frames.append(self.wire.frame((full,)))
                broken = False
            else:
                frames.append(frame)
        return b"".join(frames), broken


class Audience:
    """Groups with nobody in them are not kept."""

    __slots__ = ("_create_delta", "groups")

    def __init__(self, create_delta: CreateDelta) -> None:
        self._create_delta = create_delta
        self.groups: dict[GroupKey, Group] = {}

    def __len__(self) -> int:
        return sum(len(group.members) for group in self.groups.values())

    def subscribers(self, *, passive: bool) -> list[Subscriber]:
        """Those that durable publications go to, and the `passive` ones where asked for."""
        return [
            subscriber
            for group in self.groups.values()
            if passive or not group.passive
            for subscriber in group.members.values()
        ]

    # ------------------------------------------------------------ who

    def add(self, subscriber: Subscriber, wants: Wants, base: bytes | None = None) -> None:
        """With nothing pending: what is would be the subscriber's too."""
        if Wants.DELTA not in wants:
            base = None
        if base is not None:
            chained = self.groups.get((subscriber.wire, wants, True))
            if chained is not None and chained.base != base:
                base = None
        group = self._group(subscriber.wire, wants, base)
        group.add({subscriber.outlet: subscriber})

    def _group(self, wire: Wire, wants: Wants, base: bytes | None) -> Group:
        key = wire, wants, base is not None
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(wire, wants, base)
        return group

    def remove(self, outlet: Outlet) -> bool:
        """False: it was not there."""
        for key, group in self.groups.items():
            if group.remove(outlet) is not None:
                if not group.members:
                    del self.groups[key]
                return True
        return False

    # ------------------------------------------------------------ what

    def put(self, publication: Publication) -> int:
        """Adds the publication to what is pending; returns the bytes of the group with the most."""
        most = 0
        visit = publication.kind != KIND_PUBLICATION
        encoded: dict[tuple[Codec, bytes | None], bytes] = {}
        patches: dict[bytes, bytes] = {}
        for group in self.groups.values():
            if (group.passive and not publication.counter) or (visit and not group.visits):
                continue
            codec = group.wire.codec
            patch = None
            if group.delta and not visit:
                patch = self._patch(group.base, publication.data, patches)
                group.base = publication.data
            message = encoded.get((codec, patch))
            if message is None:
                message = encoded[codec, patch] = self._encode(codec, publication, patch)
            group.put(message, publication)
            most = max(most, group.pending_bytes)
        return most

    def _encode(self, codec: Codec, publication: Publication, patch: bytes | None) -> bytes:
        if publication.kind != KIND_PUBLICATION:
            return codec.visit(publication.channel, publication)
        if patch is not None:
            return codec.delta_publication(publication.channel, publication, patch)
        return codec.publication(publication.channel, publication)

    def _patch(self, base: bytes | None, data: bytes, patches: dict[bytes, bytes]) -> bytes:
        """Empty where the publication goes in full."""
        if base is None:
            return _FULL
        patch = patches.get(base)
        if patch is None:
            patch = self._create_delta(base, data)
            if len(patch) >= len(data) or not _is_text(patch):
                patch = _FULL
            patches[base] = patch
        return patch

    # ------------------------------------------------------------ after a flush

    def rechain(self, broken: Iterable[tuple[Group, Outlet]]) -> None:
        """With nothing pending. Who got a publication in full is chained from here on; the `broken`
        have missed the newest one of their group, and begin anew."""
        anew = []
        for group, outlet in broken:
            subscriber = group.remove(outlet)
            if subscriber is not None:  # neither closed nor unsubscribed meanwhile
                anew.append((group, subscriber))
        for key, group in list(self.groups.items()):
            if not group.members:
                del self.groups[key]
            elif group.base is not None and not group.chained:
                del self.groups[key]
                chained = self._group(group.wire, group.wants, group.base)
                chained.add(group.members)
        for group, subscriber in anew:
            self._group(group.wire, group.wants, None).add({subscriber.outlet: subscriber})


def _is_text(patch: bytes) -> bool:
    """A patch may cut characters in two, which no JSON string can carry."""
    try:
        patch.decode()
    except UnicodeDecodeError:
        return False
    return True
