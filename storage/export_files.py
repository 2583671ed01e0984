"""The files of finished exports: one folder of the data directory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

_SUFFIX: Final = ".zip"
_DRAFT: Final = ".part"


class ExportFiles:
    """Methods raise OSError."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "exports"

    def path(self, id: UUID) -> Path:
        return self._folder / f"{id}{_SUFFIX}"

    def draft(self) -> Path:
        """Where a file is written before it is `keep`-ed; another one each time, since a stalled
        attempt may still write to its own."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._folder / f"{uuid4()}{_DRAFT}"

    async def keep(self, draft: Path, id: UUID) -> int:
        """The draft becomes the file, whole or not at all; its size in bytes."""

        def move() -> int:
            size = draft.stat().st_size
            draft.replace(self.path(id))
            return size

        return await asyncio.to_thread(move)

    async def remove(self, ids: Sequence[UUID]) -> None:
        """What is not there is removed already."""

        def unlink() -> None:
            for id in ids:
                self.path(id).unlink(missing_ok=True)

        await asyncio.to_thread(unlink)

    async def remove_older(self, seconds: float) -> None:
        """Also what nobody knows of: drafts and files of attempts that were cut off."""

        def sweep() -> None:
            before = time.time() - seconds
            for path in self._folder.glob("*"):
                if path.suffix in (_SUFFIX, _DRAFT) and path.stat().st_mtime < before:
                    path.unlink(missing_ok=True)

        await asyncio.to_thread(sweep)
