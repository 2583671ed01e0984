"""Any model of the package sentence-transformers, which whoever configures it has installed."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from config.embedding import Embedding
from config.errors import AppError

if TYPE_CHECKING:
    from ai.embedder import Role, Vectors


class SentenceTransformers:
    def __init__(self, settings: Embedding) -> None:
        try:
            library: Any = importlib.import_module("sentence_transformers")
        except ImportError as error:
            raise AppError(
                "unavailable", "The package sentence-transformers is not installed."
            ) from error
        options = {"truncate_dim": settings.dimensions} if settings.dimensions else {}
        try:
            self._model = library.SentenceTransformer(settings.model, **options)
        except (OSError, ValueError) as error:
            raise AppError("unavailable", f"The model {settings.model} can't be loaded.") from error
        self._settings = settings
        self.name = f"sentence_transformers/{settings.model}"
        self.dimension = int(self._model.get_sentence_embedding_dimension())

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        s = self._settings
        prefix = s.query_prefix if role == "query" else s.passage_prefix
        vectors: Vectors = np.asarray(
            self._model.encode([prefix + text for text in texts], normalize_embeddings=True),
            dtype=np.float32,
        )
        return vectors
