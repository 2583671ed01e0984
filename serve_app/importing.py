"""`python -m serve_app import DIR`: a community dump into the database.

    accounts*.jsonl, threads*.jsonl, guides*.jsonl, checklists*.jsonl, timelines*.jsonl
        ─▶ dump_files.batches ─▶ dump.place_thread ─▶ storage/importing, one transaction

The next batch is parsed and rendered while Postgres writes the one before. Killed at any moment,
the import goes on when it is started again: what a batch has committed is found and left alone. A
bad line, or a bad comment of a thread, is reported with file, line and reason; the rest goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID

import asyncpg

from config.errors import AppError
from serve_app.dump import (
    Place,
    Refused,
    ThreadDraft,
    parse_account,
    parse_thread,
    place_thread,
)
from serve_app.dump_files import Batch, DumpFiles, Line, batches, find_files
from serve_app.guide_lines import parse_guide
from serve_app.import_report import (
    MAX_REFUSALS_KEPT,
    Progress,
    ProgressLine,
    Refusal,
    Summary,
    Tally,
)
from serve_app.visa_lines import parse_checklist, parse_timeline
from storage import chunk_generations
from storage import importing as tables
from storage.checklists import Checklist, write_checklists
from storage.guides import GuideToImport, write_guides
from storage.importing import AccountToImport, PostToImport
from storage.postgres import CONNECT_TIMEOUT_SECONDS, Connection, translate
from storage.visa_importing import TimelineToImport, write_timelines

LOCK_PATIENCE_SECONDS: Final = 10.0
_ATTEMPTS: Final = 5
_BACKOFF_SECONDS: Final = 0.05
_RETRIED: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_REFUSED: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)

Item = TypeVar("Item")
Result = TypeVar("Result")
Write = Callable[[Connection, list[Item]], Awaitable[Result]]


async def import_dump(directory: Path, url: str, progress: Progress | None = None) -> Summary:
    """Raises AppError: `invalid` when there is no dump in `directory` or no schema in the database,
    `conflict` while another import runs, `unavailable` when the database goes away."""
    return await import_files(await asyncio.to_thread(find_files, directory), url, progress)


async def import_files(files: DumpFiles, url: str, progress: Progress | None = None) -> Summary:
    """The same for chosen files."""
    with translate():
        connection = await asyncpg.connect(
            url, timeout=CONNECT_TIMEOUT_SECONDS, server_settings={"application_name": "import"}
        )
        try:
            return await _Import(connection, files, progress or ProgressLine()).run()
        except asyncpg.UndefinedTableError as error:
            raise AppError("invalid", "The database has no schema: migrate it first.") from error
        finally:
            connection.terminate()


class _Import:
    def __init__(self, connection: Connection, files: DumpFiles, progress: Progress) -> None:
        self._connection = connection
        self._files = files
        self._total_bytes = files.total_bytes
        self._done_bytes = 0
        self._progress = progress
        self._summary = Summary()
        self._communities: dict[tuple[int, str | None], UUID] = {}
        self._groups: dict[str, UUID] = {}
        # Hashes instead of the names, so that a dump of millions of threads fits.
        self._seen: set[int] = set()

    async def run(self) -> Summary:
        await tables.lock(self._connection, LOCK_PATIENCE_SECONDS)
        await chunk_generations.mark_incomplete(self._connection)
        self._communities = await tables.read_directory(self._connection)
        await self._each(batches(self._files.accounts, parse_account), self._write_accounts)
        self._seen.clear()
        await self._each(batches(self._files.threads, parse_thread), self._write_threads)
        self._seen.clear()
        parse = partial(parse_guide, today=datetime.now(UTC).date())
        await self._each(batches(self._files.guides, parse), self._write_guides)
        self._seen.clear()
        await self._each(batches(self._files.checklists, parse_checklist), self._write_checklists)
        self._seen.clear()
        parse_at = partial(parse_timeline, now=datetime.now(UTC))
        await self._each(batches(self._files.timelines, parse_at), self._write_timelines)
        summary = self._summary
        written = (summary.accounts, summary.posts, summary.comments, summary.timelines)
        if any(tally.written for tally in written):
            await tables.analyze(self._connection)
        async with self._connection.transaction():
            generation = await chunk_generations.serving(self._connection)
            if summary.posts.written or summary.guides.written or not generation.finished:
                await chunk_generations.begin_fill(self._connection)
        self._progress.advance(self._total_bytes, self._total_bytes, summary)
        return summary

    async def _each(
        self, found: Iterator[Batch[Item]], write: Callable[[Batch[Item]], Awaitable[None]]
    ) -> None:
        batch = await asyncio.to_thread(next, found, None)
        while batch is not None:
            following = asyncio.create_task(asyncio.to_thread(next, found, None))
            try:
                await write(batch)
            finally:
                await asyncio.wait([following])
            self._done_bytes += batch.size_bytes
            self._progress.advance(self._done_bytes, self._total_bytes, self._summary)
            batch = following.result()

    # ------------------------------------------------------------ accounts

    async def _write_accounts(self, batch: Batch[AccountToImport]) -> None:
        tally = self._summary.accounts
        tally.read += len(batch.items) + len(batch.refused)
        tally.refused += len(batch.refused)
        for line, error in batch.refused:
            self._report(line, str(error))
        good: list[tuple[Line, AccountToImport]] = []
        for line, account in batch.items:
            if self._is_first(account.reference):
                good.append((line, account))
            else:
                tally.refused += 1
                self._report(line, f"handle: {account.reference!r} is there twice")
        for part, result in await self._commit(good, tables.write_accounts):
            if isinstance(result, Refused):
                tally.refused += len(part)
                self._report(part[0][0], str(result))
                continue
            written, foreign = result
            tally.written += written
            tally.refused += len(foreign)
            tally.there += len(part) - written - len(foreign)
            for place in foreign:
                line, account = part[place]
                self._report(
                    line, f"handle: another dump has brought another {account.reference!r}"
                )

    # ------------------------------------------------------------ threads

    async def _write_threads(self, batch: Batch[ThreadDraft]) -> None:
        posts, comments = self._summary.posts, self._summary.comments
        posts.read += len(batch.items) + len(batch.refused)
        posts.refused += len(batch.refused)
        for line, error in batch.refused:
            self._report(line, str(error))
        names = {name for _, draft in batch.items for name in draft.authors}
        authors = await tables.find_authors(self._connection, list(names))
        good: list[tuple[Line, PostToImport]] = []
        for line, draft in batch.items:
            comments.read += len(draft.line.comments)
            try:
                if not self._is_first(draft.line.id):
                    raise Refused(f"id: {draft.line.id!r} is there twice")
                community_id = await self._community(draft.place)
                post, left_out = place_thread(draft, community_id, authors)
            except Refused as error:
                posts.refused += 1
                comments.refused += len(draft.line.comments)
                self._report(line, str(error))
                continue
            comments.refused += len(draft.line.comments) - len(post.comments)
            for reason in left_out:
                self._report(line, reason)
            good.append((line, post))
        for part, result in await self._commit(good, tables.write_threads):
            count = sum(len(post.comments) for _, post in part)
            if isinstance(result, Refused):
                posts.refused += len(part)
                comments.refused += count
                self._report(part[0][0], str(result))
                continue
            posts.written += result.posts
            posts.there += len(part) - result.posts
            comments.written += result.comments
            comments.there += count - result.comments

    async def _community(self, place: Place) -> UUID:
        if place.group is None:
            found = self._communities.get((place.country_id, place.visa_type))
            if found is None:
                raise Refused(f"visa_type: the country has no visa type {place.visa_type!r}")
            return found
        found = self._groups.get(place.group)
        if found is None:
            found = await tables.find_or_make_group(self._connection, place.group, place.group_name)
            if found is None:
                raise Refused(f"group: {place.group!r} is no public group here")
            self._groups[place.group] = found
        return found

    # ------------------------------------------------------------ guides

    async def _write_guides(self, batch: Batch[GuideToImport]) -> None:
        tally = self._summary.guides
        tally.read += len(batch.items) + len(batch.refused)
        tally.refused += len(batch.refused)
        for line, error in batch.refused:
            self._report(line, str(error))
        good: list[tuple[Line, GuideToImport]] = []
        for line, guide in batch.items:
            if self._is_first(guide.reference):
                good.append((line, guide))
            else:
                tally.refused += 1
                self._report(line, f"id: {guide.reference!r} is there twice")
        for part, result in await self._commit(good, write_guides):
            if isinstance(result, Refused):
                tally.refused += len(part)
                self._report(part[0][0], str(result))
                continue
            written, foreign = len(result.written), result.foreign
            tally.written += written
            tally.refused += len(foreign)
            tally.there += len(part) - written - len(foreign)
            for place in foreign:
                line, guide = part[place]
                self._report(line, f"country: {guide.reference!r} is a guide of another country")

    # ------------------------------------------------------------ checklists, timelines

    async def _write_checklists(self, batch: Batch[Checklist]) -> None:
        await self._write_named(self._summary.checklists, batch, _id_of, write_checklists)

    async def _write_timelines(self, batch: Batch[TimelineToImport]) -> None:
        names = {timeline.reference for _, timeline in batch.items}
        known = await tables.find_authors(self._connection, list(names))
        good: list[tuple[Line, TimelineToImport]] = []
        refused = list(batch.refused)
        for line, timeline in batch.items:
            if timeline.reference in known:
                good.append((line, timeline))
            else:
                reason = f"account: no imported account {timeline.reference!r}"
                refused.append((line, Refused(reason)))
        batch = batch._replace(items=good, refused=refused)
        await self._write_named(self._summary.timelines, batch, _id_of, write_timelines)

    async def _write_named(
        self,
        tally: Tally,
        batch: Batch[Item],
        name: Callable[[Item], str],
        write: Write[Item, int],
    ) -> None:
        """Of two of one name the first; `write` says how many were new or changed."""
        tally.read += len(batch.items) + len(batch.refused)
        tally.refused += len(batch.refused)
        for line, error in batch.refused:
            self._report(line, str(error))
        good: list[tuple[Line, Item]] = []
        for line, item in batch.items:
            if self._is_first(name(item)):
                good.append((line, item))
            else:
                tally.refused += 1
                self._report(line, f"{name(item)!r} is there twice")
        for part, result in await self._commit(good, write):
            if isinstance(result, Refused):
                tally.refused += len(part)
                self._report(part[0][0], str(result))
            else:
                tally.written += result
                tally.there += len(part) - result

    # ------------------------------------------------------------ common

    async def _commit(
        self, items: list[tuple[Line, Item]], write: Write[Item, Result]
    ) -> list[tuple[list[tuple[Line, Item]], Result | Refused]]:
        """One transaction; what the database refuses is found by halving and refused alone."""
        if not items:
            return []
        for attempt in range(_ATTEMPTS):
            try:
                result = await write(self._connection, [item for _, item in items])
                return [(items, result)]
            except _RETRIED:
                await asyncio.sleep(_BACKOFF_SECONDS * 2**attempt)
            except _REFUSED as error:
                if len(items) == 1:
                    return [(items, Refused(f"the database refuses it: {error}"))]
                half = len(items) // 2
                first = await self._commit(items[:half], write)
                return first + await self._commit(items[half:], write)
        raise AppError("overloaded", "Too many changes at the same place: start again later.")

    def _is_first(self, name: str) -> bool:
        key = hash(name)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _report(self, line: Line, reason: str) -> None:
        refusal = Refusal(line.file, line.number, reason)
        self._summary.problems += 1
        if len(self._summary.refusals) < MAX_REFUSALS_KEPT:
            self._summary.refusals.append(refusal)
        self._progress.refused(refusal)


def _id_of(item: Checklist | TimelineToImport) -> str:
    return str(item.id)
