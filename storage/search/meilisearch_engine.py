"""Meilisearch as the search engine, through its official client, which blocks: called in threads.

A write is a task of Meilisearch's own queue, run in order; `apply` waits until all of its tasks
have ended. Settings are code (meilisearch_requests.py), written when an index is made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

from meilisearch import Client
from meilisearch.errors import (
    MeilisearchApiError,
    MeilisearchCommunicationError,
    MeilisearchTimeoutError,
)
from meilisearch.models.task import TaskInfo

from config.errors import AppError
from storage.identity import country_of
from storage.search.engine import Changes, SearchPage, SearchQuery, UnknownGeneration
from storage.search.meilisearch_requests import (
    SETTINGS,
    Indexes,
    among,
    encoded,
    merged,
    search_body,
)
from storage.search.words import folded_words

_log = logging.getLogger(__name__)

T = TypeVar("T")

_REQUEST_SECONDS: Final = 10
_TASK_MS: Final = 60_000
_POLL_MS: Final = 20
_LISTED: Final = 1_000
_DOCUMENTS: Final = 1_000
_NOT_FOUND: Final = "index_not_found"


class MeilisearchEngine:
    """Any number of processes may use one server; the lock of storage/search/generations.py keeps
    their writes in order. `by_country`: an index for each group of countries."""

    name = "meilisearch"

    def __init__(self, url: str, key: str, *, by_country: bool) -> None:
        self._url = url
        self._key = key or None
        self._indexes = Indexes(by_country=by_country)

    async def has(self, generation: int) -> bool:
        # Made last, so that it stands for all of them.
        return await self._run(lambda client: _exists(client, self._indexes.of(generation)[-1]))

    async def create(self, generation: int) -> None:
        await self._run(lambda client: _create(client, self._indexes.of(generation)))

    async def keep_only(self, generations: Sequence[int]) -> None:
        await self._run(lambda client: _keep_only(client, generations))

    async def apply(self, generation: int, changes: Changes) -> None:
        if not await self.has(generation):
            # Documents for an index that is not there would make one, without our settings.
            raise UnknownGeneration(generation)
        await self._run(lambda client: self._apply(client, generation, changes))

    async def search(self, generation: int, query: SearchQuery) -> SearchPage:
        if query.text.strip() and not folded_words(query.text):
            return SearchPage([], 0, {})  # Meilisearch would find everything
        names = self._indexes.of(generation)
        if query.country is not None:
            names = [self._indexes.holding(generation, query.country)]
        body = search_body(query)
        queries = [{"indexUid": name, **body} for name in names]
        answer = await self._run(lambda client: client.multi_search(queries))
        return merged(answer["results"], query)

    async def has_remains(self, generation: int) -> bool:
        return False  # what its store frees is written over, and nothing else can be asked

    async def count(self, generation: int) -> int:
        names = self._indexes.of(generation)
        counts = await self._run(
            lambda client: [client.index(name).get_stats().number_of_documents for name in names]
        )
        return sum(counts)

    async def close(self) -> None:
        """Nothing is kept open."""

    def _apply(self, client: Client, generation: int, changes: Changes) -> None:
        tasks: list[TaskInfo] = []
        for name, part in self._by_index(generation, changes).items():
            index = client.index(name)
            gone = [
                among(attribute, ids)
                for attribute, ids in (("post_id", part.threads), ("id", part.removed))
                if ids
            ]
            if gone:
                tasks.append(index.delete_documents(filter=" OR ".join(gone)))
            if part.documents:
                documents = [encoded(each) for each in part.documents]
                tasks += index.add_documents_in_batches(documents, _DOCUMENTS)
        _wait(client, tasks)

    def _by_index(self, generation: int, changes: Changes) -> dict[str, Changes]:
        def name_of(id: UUID) -> str:
            return self._indexes.holding(generation, country_of(id))

        threads, removed, documents = (
            _grouped(changes.threads, name_of),
            _grouped(changes.removed, name_of),
            _grouped(changes.documents, lambda each: name_of(each.id)),
        )
        return {
            name: Changes(documents.get(name, ()), removed.get(name, ()), threads.get(name, ()))
            for name in sorted({*threads, *removed, *documents})
        }

    async def _run(self, work: Callable[[Client], T]) -> T:
        """With a client of its own: it keeps headers of a request in itself."""
        try:
            return await asyncio.to_thread(
                lambda: work(Client(self._url, self._key, timeout=_REQUEST_SECONDS))
            )
        except (MeilisearchCommunicationError, MeilisearchTimeoutError) as error:
            raise _away(error) from error
        except MeilisearchApiError as error:
            if error.code == _NOT_FOUND:
                raise UnknownGeneration(str(error)) from error
            raise _away(error) from error


def _away(error: Exception) -> AppError:
    """Its text may name the server: it is for the log alone."""
    _log.warning("Meilisearch: %s", error)
    return AppError("unavailable", "The search engine does not answer.", retry_after_seconds=2.0)


def _exists(client: Client, name: str) -> bool:
    try:
        client.get_raw_index(name)
    except MeilisearchApiError as error:
        if error.code != _NOT_FOUND:
            raise
        return False
    return True


def _create(client: Client, names: Sequence[str]) -> None:
    _wait(client, [client.delete_index(name) for name in names], missing_is_fine=True)
    for name in names:
        _wait(client, [client.create_index(name, {"primaryKey": "id"})])
        _wait(client, [client.index(name).update_settings(dict(SETTINGS))])


def _keep_only(client: Client, generations: Sequence[int]) -> None:
    listed: Any = client.get_raw_indexes({"limit": _LISTED})
    names = [index["uid"] for index in listed["results"]]
    gone = [
        name
        for name in names
        if (generation := Indexes.generation_of(name)) is not None and generation not in generations
    ]
    _wait(client, [client.delete_index(name) for name in gone], missing_is_fine=True)


def _wait(client: Client, tasks: Sequence[TaskInfo], *, missing_is_fine: bool = False) -> None:
    """Until all have ended. Raises MeilisearchTimeoutError, UnknownGeneration, AppError."""
    for task in tasks:
        ended = client.wait_for_task(task.task_uid, _TASK_MS, _POLL_MS)
        if ended.status == "succeeded":
            continue
        code = (ended.error or {}).get("code")
        if code == _NOT_FOUND:
            if missing_is_fine:
                continue
            raise UnknownGeneration(ended.index_uid)
        _log.error("Meilisearch has ended task %d as %s: %s", ended.uid, ended.status, ended.error)
        raise AppError("internal", "The search engine has refused a change.")


def _grouped(items: Sequence[T], name_of: Callable[[T], str]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(name_of(item), []).append(item)
    return groups
