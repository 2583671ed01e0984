"""What a worker gives to its jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from actors.indexing import NOWHERE, Index
from actors.notifying import Publish
from actors.shard_messages import Ephemeral
from actors.writing import Writer
from config.settings import Settings
from storage.postgres import Pool

PublishEphemeral = Callable[[Sequence[Ephemeral]], None]


def tell_nobody(events: Sequence[Ephemeral]) -> None:
    """Where there are no shards."""


class JobTools(NamedTuple):
    """`publish` hands committed events to the shards, `publish_ephemeral` those that nobody needs.
    `search` is the Search deployment, `writer` the model that writes texts, where there is one."""

    pool: Pool
    publish: Publish
    settings: Settings
    search: Index = NOWHERE
    publish_ephemeral: PublishEphemeral = tell_nobody
    writer: Writer | None = None
