"""Every kind of job, by entrypoint: what runs it, and in which worker.

A job is enqueued by `storage.jobs.enqueue` in the transaction that causes it. A new kind is a row
of ENTRYPOINTS and a case in tests/integration/test_jobs_twice.py: jobs may run more than once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

from actors.deriving import Deriver
from actors.embedding import EmbeddingJobs, ServingModel
from actors.erasing import AccountEraser
from actors.exporting import AccountExporter, ExportExpiry
from actors.indexing import Indexer
from actors.job_tools import JobTools
from actors.links.checking import LinkChecker
from actors.maintenance import Maintenance
from actors.media.jobs import MediaJobs
from actors.media.processing import AT_ONCE
from actors.notifying import Notifier
from actors.summarising import Summariser
from actors.translating import Translator
from storage.jobs import Handler
from storage.schedule import Recurring

# ai: what loads a model, or waits for one. It runs in processes of its own, so that a queue of
# embeddings keeps nobody's notification waiting.
WorkerKind = Literal["light", "ai"]


def _summariser(tools: JobTools) -> Summariser:
    model = ServingModel(tools.pool, tools.settings.embedding)
    return Summariser(tools.pool, model, tools.publish_ephemeral, tools.writer)


def _translator(tools: JobTools) -> Translator:
    return Translator(tools.pool, tools.publish_ephemeral, tools.writer)


def _embedding(tools: JobTools) -> EmbeddingJobs:
    return EmbeddingJobs(tools.pool, tools.settings.embedding)


class Entrypoint(NamedTuple):
    """`make` is called whenever the worker has reached the database anew. Its handler takes the
    payload as it was enqueued, JSON; what it raises is tried again later, MAX_ATTEMPTS times, an
    AppError `unavailable` without end.

    `at_once`: how many run in all workers together, 0: as many as there are hands. Jobs that take
    long need a bound, or they would take all hands.
    """

    name: str
    make: Callable[[JobTools], Handler]
    worker: WorkerKind = "light"
    at_once: int = 0


ENTRYPOINTS: Final[tuple[Entrypoint, ...]] = (
    Entrypoint("notify", lambda tools: Notifier(tools.pool, tools.publish).run),
    Entrypoint("index", lambda tools: Indexer(tools.pool, tools.search).run),
    Entrypoint("fill_search", lambda tools: Indexer(tools.pool, tools.search).fill, at_once=1),
    Entrypoint("derive", lambda tools: Deriver(tools.pool).run),
    Entrypoint("erase_account", lambda tools: AccountEraser(tools).run, at_once=4),
    Entrypoint("export_account", lambda tools: AccountExporter(tools).run, at_once=4),
    Entrypoint("expire_exports", lambda tools: ExportExpiry(tools).run),
    Entrypoint(
        "media", lambda tools: MediaJobs(tools.pool, tools.settings).process, at_once=AT_ONCE
    ),
    Entrypoint("tidy_files", lambda tools: MediaJobs(tools.pool, tools.settings).tidy),
    Entrypoint("maintain_streams", lambda tools: Maintenance(tools).maintain_streams),
    Entrypoint("forget_sessions", lambda tools: Maintenance(tools).forget_sessions),
    Entrypoint("forget_idempotency", lambda tools: Maintenance(tools).forget_idempotency),
    Entrypoint("purge_removed", lambda tools: Maintenance(tools).purge_removed),
    Entrypoint("forget_records", lambda tools: Maintenance(tools).forget_records),
    Entrypoint("trim_jobs", lambda tools: Maintenance(tools).trim_jobs),
    Entrypoint("check_links", lambda tools: LinkChecker(tools).run, at_once=1),
    # They wait for one model: without a bound they would have all hands of a worker.
    Entrypoint("embed", lambda tools: _embedding(tools).embed, worker="ai", at_once=8),
    Entrypoint("fill_embeddings", lambda tools: _embedding(tools).fill, worker="ai", at_once=1),
    Entrypoint("summarise", lambda tools: _summariser(tools).run, worker="ai", at_once=2),
    Entrypoint("translate", lambda tools: _translator(tools).run, worker="ai", at_once=4),
)

# Enqueued by the light workers, each tick by one of them.
RECURRING: Final[tuple[Recurring, ...]] = (
    Recurring("maintain_streams", 3_600),
    Recurring("forget_sessions", 3_600),
    Recurring("forget_idempotency", 600),
    Recurring("purge_removed", 3_600),
    Recurring("forget_records", 86_400),
    Recurring("trim_jobs", 60),
    Recurring("expire_exports", 3_600),
    Recurring("tidy_files", 3_600),
    Recurring("check_links", 900),
)


def entrypoints_of(
    kind: WorkerKind, entrypoints: Sequence[Entrypoint] = ENTRYPOINTS
) -> list[Entrypoint]:
    """Empty: there is nothing for such a worker to do, and none is started (serve_app/app.py)."""
    return [entry for entry in entrypoints if entry.worker == kind]
