"""The jobs of uploaded files, for job_table.py."""

from __future__ import annotations

import logging

from actors.media.processing import Processing
from config.errors import AppError
from config.settings import Settings
from storage import bucket_rules, media
from storage.media_removal import remove_orphans
from storage.objects import objects_of
from storage.postgres import Pool

_log = logging.getLogger(__name__)


class MediaJobs:
    """Its methods are handlers."""

    def __init__(self, pool: Pool, settings: Settings) -> None:
        self._pool = pool
        self._settings = settings

    async def process(self, payload: bytes) -> None:
        objects = objects_of(self._settings)
        await Processing(self._pool, objects, self._settings.media).run(payload)

    async def tidy(self, payload: bytes) -> None:
        """Removes what belongs to nothing for a day, also where storing or removing was cut off,
        refuses what nobody processes any more, and keeps the rules of a bucket."""
        await media.refuse_abandoned(self._pool)
        hours = self._settings.media.orphan_hours
        removed = await remove_orphans(self._pool, objects_of(self._settings), hours)
        if removed:
            _log.info("removed %d files that belonged to nothing", removed)
        await self._keep_bucket_rules()

    async def _keep_bucket_rules(self) -> None:
        """Nothing to do for a folder, or where no colder class is set."""
        objects, settings = objects_of(self._settings), self._settings.media
        if objects.bucket is None or not settings.cold_class:
            return
        days, storage_class = settings.cold_after_days, settings.cold_class
        try:
            changed = await bucket_rules.apply(objects, days, storage_class)
        except AppError as error:
            if error.retryable:
                raise
            # Not every store knows such rules: the operator is told, and the job has done its work.
            _log.warning("media.cold_class has no effect: %s", error)
            return
        if changed:
            _log.info("originals move to %s after %d days", storage_class, days)
