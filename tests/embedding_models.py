"""Models for tests: texts with words in common are near each other, and nothing takes time."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from actors.embedding import Embedders
from ai.embedder import Embedder
from config.embedding import Embedding
from storage.chunk_generations import Generation

if TYPE_CHECKING:
    from ai.embedder import Role, Vectors


class WordModel:
    """The normalised sum of a random direction for each word. `gate` holds it up where closed;
    texts with a word of `refused` raise what that says."""

    def __init__(self, name: str = "test/words", dimension: int = 384) -> None:
        self.name = name
        self.dimension = dimension
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()
        self.refused: dict[str, Exception] = {}
        self.embedded: list[str] = []

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        self.waiting.set()
        if not self.gate.wait(60):
            raise TimeoutError
        for text in texts:
            for word, error in self.refused.items():
                if word in text:
                    raise error
        if role == "passage":
            self.embedded += texts
        return np.asarray([self._vector(text) for text in texts], dtype=np.float32)

    def _vector(self, text: str) -> Vectors:
        total = np.zeros(self.dimension, dtype=np.float32)
        for word in re.findall(r"\w+", text.lower()) or [""]:
            seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
            total += np.random.default_rng(seed).standard_normal(self.dimension, dtype=np.float32)
        normalised: Vectors = total / np.linalg.norm(total)
        return normalised


class WordEmbedders(Embedders):
    """A WordModel for each generation."""

    def __init__(self) -> None:
        super().__init__(Embedding(), in_background=True)
        self.models: dict[int, WordModel] = {}

    def of(self, generation: Generation) -> Embedder:
        if generation.id not in self.models:
            self.models[generation.id] = WordModel(generation.model, generation.dimension)
            model = self.models[generation.id]
            self._known[generation.model, generation.id] = Embedder(lambda: model)
        return self._known[generation.model, generation.id]

    def model(self, generation: int = 1) -> WordModel:
        return self.models[generation]
