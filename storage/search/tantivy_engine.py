"""The embedded engine: a directory of this process, one writer, no server.

Nothing but ids is stored: texts that are shown come from Postgres. What was removed is found no
more after the commit; its words leave the files when their segment is merged, or with the next
rebuild, which begins by itself after a day where there are such words.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast
from uuid import UUID

import msgspec
import tantivy
from tantivy import FieldType, Index, IndexWriter, Occur, Query, Schema

from config.errors import AppError
from storage.search.engine import (
    FACETS,
    Changes,
    Facet,
    Hit,
    Kind,
    SearchDocument,
    SearchPage,
    SearchQuery,
    UnknownGeneration,
)
from storage.search.words import Word, folded_words, typos_of, words

_log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_WORDS: Final = 32
_HEAP_BYTES: Final = 32_000_000
_READERS: Final = 4
_NICENESS: Final = 5
_FACET_VALUES: Final = 300
_COMPLETE: Final = "complete"  # a directory without this file was left half made
# What a match counts, against a whole word in the text.
_TITLE: Final = 2.5
_TAG: Final = 1.5
_BEGINNING: Final = 0.5
_TYPO: Final = 0.25
_NO_VALUE: Final = "-"


class _Segment(msgspec.Struct):
    deletes: object = None


class _Meta(msgspec.Struct):
    """What is looked at of the library's own list of segments."""

    segments: list[_Segment]


class _Opened(NamedTuple):
    of: Index
    writer: IndexWriter


def _schema() -> Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("kind", stored=True, fast=True, tokenizer_name="raw")
    for name in ("post_id", "community_id"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in ("country", "visa_type", "language"):
        builder.add_text_field(name, fast=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("root_language", tokenizer_name="raw", index_option="basic")
    builder.add_boolean_field("public", indexed=True)
    builder.add_integer_field("created_at", indexed=True, fast=True)
    for name in ("title", "tags", "text"):
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="position")
    return builder.build()


class TantivyEngine:
    """Owns `directory`; a second process that opens it waits for its lock in vain."""

    name = "tantivy"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._schema = _schema()
        self._opened: dict[int, _Opened] = {}
        self._closed = False
        # One thread writes: so changes of a generation happen one after the other.
        self._writing = ThreadPoolExecutor(1, "search-writer", initializer=_give_way)
        self._reading = ThreadPoolExecutor(_READERS, "search-reader")

    async def has(self, generation: int) -> bool:
        return await self._write(lambda: self._is_complete(generation))

    async def create(self, generation: int) -> None:
        await self._write(lambda: self._create(generation))

    async def keep_only(self, generations: Sequence[int]) -> None:
        await self._write(lambda: self._keep_only(generations))

    async def apply(self, generation: int, changes: Changes) -> None:
        await self._write(lambda: self._apply(generation, changes))

    async def search(self, generation: int, query: SearchQuery) -> SearchPage:
        opened = self._opened.get(generation)
        if opened is None:
            opened = await self._write(lambda: self._open(generation))
        return await self._run(self._reading, lambda: self._search(opened.of, query))

    async def has_remains(self, generation: int) -> bool:
        return await self._write(lambda: self._has_remains(generation))

    async def count(self, generation: int) -> int:
        opened = await self._write(lambda: self._open(generation))
        return int(opened.of.searcher().num_docs)

    async def close(self) -> None:
        """Once more is nothing."""
        if not self._closed:
            self._closed = True
            await self._write(self._close)
            self._writing.shutdown()
            self._reading.shutdown()

    # ------------------------------------------------------------ directories

    async def _write(self, work: Callable[[], T]) -> T:
        return await self._run(self._writing, work)

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, work)
        except (OSError, ValueError, RuntimeError) as error:
            # The library has no types for what happens to its files: locked, full, damaged.
            raise AppError(
                "unavailable", f"The search index can't be used: {error}", retry_after_seconds=2.0
            ) from error

    def _path(self, generation: int) -> Path:
        return self._directory / str(generation)

    def _is_complete(self, generation: int) -> bool:
        path = self._path(generation)
        return all((path / name).exists() for name in (_COMPLETE, "meta.json"))

    def _open(self, generation: int) -> _Opened:
        opened = self._opened.get(generation)
        if opened is None:
            if not self._is_complete(generation):
                raise UnknownGeneration(generation)
            opened = self._opened[generation] = self._reopened(generation)
        return opened

    def _reopened(self, generation: int) -> _Opened:
        path = self._path(generation)
        try:
            return _opened(Index(self._schema, str(path), reuse=True))
        except ValueError as error:
            if "corrupt" not in str(error).lower():
                raise
            _log.error("the search index %s is damaged and will be made anew: %s", path, error)
            (path / _COMPLETE).unlink(missing_ok=True)
            raise UnknownGeneration(generation) from error

    def _create(self, generation: int) -> None:
        self._drop(generation)
        path = self._path(generation)
        path.mkdir(parents=True)
        self._opened[generation] = _opened(Index(self._schema, str(path), reuse=False))
        (path / _COMPLETE).touch()

    def _keep_only(self, generations: Sequence[int]) -> None:
        kept = {str(generation) for generation in generations}
        for path in self._directory.iterdir() if self._directory.exists() else ():
            if path.name.isdigit() and path.name not in kept:
                self._drop(int(path.name))

    def _drop(self, generation: int) -> None:
        opened = self._opened.pop(generation, None)
        if opened is not None:
            opened.writer.wait_merging_threads()
        path = self._path(generation)
        (path / _COMPLETE).unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)

    def _close(self) -> None:
        for opened in self._opened.values():
            opened.writer.wait_merging_threads()
        self._opened.clear()

    def _has_remains(self, generation: int) -> bool:
        if not self._is_complete(generation):
            raise UnknownGeneration(generation)
        meta = msgspec.json.decode((self._path(generation) / "meta.json").read_bytes(), type=_Meta)
        return any(segment.deletes is not None for segment in meta.segments)

    # ------------------------------------------------------------ changes

    def _apply(self, generation: int, changes: Changes) -> None:
        index, writer = self._open(generation)
        try:
            for post_id in changes.threads:
                writer.delete_documents_by_term("post_id", str(post_id))
            for id in changes.removed:
                writer.delete_documents_by_term("id", str(id))
            for document in changes.documents:
                writer.delete_documents_by_term("id", str(document.id))
                writer.add_document(_encoded(document))
            writer.commit()
        except BaseException:
            # A writer that has failed, on a full disk say, stays so: the next one is opened anew.
            del self._opened[generation]
            raise
        index.reload()

    # ------------------------------------------------------------ questions

    def _search(self, index: Index, query: SearchQuery) -> SearchPage:
        searcher = index.searcher()
        asked = self._query(query)
        by_time = query.sort == "new"
        found: Any = searcher.search(
            asked, query.limit, count=True, order_by_field="created_at" if by_time else None
        )
        hits = []
        for score, address in found.hits:
            stored = searcher.doc(address)
            id, kind = stored.get_first("id"), stored.get_first("kind")
            hits.append(Hit(UUID(id), cast(Kind, kind), float(score or 0)))
        facets: dict[Facet, dict[str, int]] = {}
        if query.facets:
            terms = {name: {"terms": {"field": name, "size": _FACET_VALUES}} for name in FACETS}
            facets = {
                name: {
                    bucket["key"]: int(bucket["doc_count"])
                    for bucket in answer["buckets"]
                    if bucket["key"] != _NO_VALUE
                }
                for name, answer in searcher.aggregate(asked, terms).items()
            }
        return SearchPage(hits, int(found.count or 0), facets)

    def _query(self, query: SearchQuery) -> Query:
        parts = [(Occur.Must, self._text(query))]
        parts += [(Occur.Must, Query.const_score_query(each, 0.0)) for each in self._bounds(query)]
        return Query.boolean_query(parts)

    def _bounds(self, query: SearchQuery) -> list[Query]:
        schema = self._schema
        bounds: list[Query] = []
        if query.readable is not None:
            public = Query.term_query(schema, "public", True)
            mine = Query.term_set_query(schema, "community_id", [str(id) for id in query.readable])
            bounds.append(_any([public, mine]) if query.readable else public)
        if query.kinds:
            bounds.append(Query.term_set_query(schema, "kind", list(query.kinds)))
        if query.country is not None:
            bounds.append(Query.term_query(schema, "country", str(query.country)))
        if query.visa_type is not None:
            bounds.append(Query.term_query(schema, "visa_type", query.visa_type))
        if query.language is not None:
            field = "language" if "-" in query.language else "root_language"
            bounds.append(Query.term_query(schema, field, query.language.lower()))
        if query.since is not None or query.until is not None:
            bounds.append(
                Query.range_query(
                    schema, "created_at", FieldType.Integer, query.since, query.until,
                    include_upper=False,
                )
            )  # fmt: skip
        return bounds

    def _text(self, query: SearchQuery) -> Query:
        asked = [word for word in words(query.text) if word.text][:MAX_WORDS]
        if not asked:
            return Query.empty_query() if query.text.strip() else Query.all_query()
        last = len(asked) - 1
        each = [
            self._word(word, query.titles_only, place == last) for place, word in enumerate(asked)
        ]
        if query.every_word:
            return Query.boolean_query([(Occur.Must, part) for part in each])
        return _any(each)

    def _word(self, word: Word, titles_only: bool, is_last: bool) -> Query:
        """A whole word, or the beginning of one at the end of what was typed, or one with typos;
        the best of them counts."""
        schema, text = self._schema, word.text
        ways: list[Query] = []
        fields: tuple[tuple[str, float], ...] = (("title", _TITLE),)
        if not titles_only:
            fields += (("tags", _TAG), ("text", 1.0))
        typos = 0 if word.pair else typos_of(text)
        for field, weight in fields:
            ways.append(Query.boost_query(Query.term_query(schema, field, text), weight))
            if is_last:
                ways.append(self._fuzzy(field, text, 0, weight * _BEGINNING, prefix=True))
            if typos:
                ways.append(self._fuzzy(field, text, typos, weight * _TYPO, prefix=is_last))
        return Query.disjunction_max_query(ways, 0.1)

    def _fuzzy(self, field: str, text: str, typos: int, score: float, *, prefix: bool) -> Query:
        found = Query.fuzzy_term_query(self._schema, field, text, typos, True, prefix)
        return Query.const_score_query(found, score)


def _give_way() -> None:
    """This thread, and those of the library's writer that it starts, run when nobody asks."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _opened(index: Index) -> _Opened:
    index.config_reader("manual")
    index.searcher()  # reads what all parts begin with
    return _Opened(index, index.writer(_HEAP_BYTES, 1))


def _any(queries: Sequence[Query]) -> Query:
    return Query.boolean_query([(Occur.Should, query) for query in queries])


def _encoded(document: SearchDocument) -> tantivy.Document:
    language = document.language.lower()
    encoded = tantivy.Document()
    for name, value in (
        ("id", str(document.id)),
        ("kind", document.kind),
        ("post_id", str(document.post_id)),
        ("community_id", str(document.community_id or _NO_VALUE)),
        ("country", str(document.country)),
        ("visa_type", document.visa_type or _NO_VALUE),
        ("language", language or _NO_VALUE),
        ("root_language", language.partition("-")[0] or _NO_VALUE),
        ("title", " ".join(folded_words(document.title))),
        ("tags", " ".join(folded_words(" ".join(document.tags)))),
        ("text", " ".join(folded_words(document.text))),
    ):
        encoded.add_text(name, value)
    encoded.add_boolean("public", document.public)
    encoded.add_integer("created_at", document.created_at)
    return encoded
