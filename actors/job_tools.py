"""What a worker gives to its jobs."""

from __future__ import annotations

from typing import NamedTuple

from actors.indexing import NOWHERE, Index
from actors.notifying import Publish
from config.settings import Settings
from storage.postgres import Pool


class JobTools(NamedTuple):
    """`publish` hands committed events to the shards, `search` is the Search deployment."""

    pool: Pool
    publish: Publish
    settings: Settings
    search: Index = NOWHERE
