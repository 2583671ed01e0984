"""Any server with OpenAI's `POST /embeddings`: vLLM, llama.cpp, TEI, Ollama, the big providers.

By the standard library, since the caller is a thread already. Redirects are not followed: the key
goes to the endpoint alone.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from config.embedding import Embedding
from config.errors import AppError
from config.no_redirects import open_here

if TYPE_CHECKING:
    from ai.embedder import Role, Vectors

_MAX_REPLY_BYTES: Final = 64 * 1024 * 1024
# The text itself is refused; everything else an operator, or time, can mend.
_REFUSALS: Final = frozenset({400, 413, 422})


class _Item(msgspec.Struct):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct):
    data: list[_Item]


_decode: Final = msgspec.json.Decoder(_Answer).decode


class OpenAiHttp:
    """Asks for one vector when it is made, to learn the dimension."""

    def __init__(self, settings: Embedding) -> None:
        self._settings = settings
        self.name = f"openai/{settings.model}"
        self.dimension = int(self._ask(["dimension"]).shape[1])

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        """Raises AppError: `unavailable` where the server is away, `invalid` where it refuses a
        text."""
        s = self._settings
        prefix = s.query_prefix if role == "query" else s.passage_prefix
        return self._ask([prefix + text for text in texts])

    def _ask(self, texts: list[str]) -> Vectors:
        asked: dict[str, object] = {
            "model": self._settings.model,
            "input": texts,
            "encoding_format": "float",
        }
        if self._settings.dimensions:
            asked["dimensions"] = self._settings.dimensions
        try:
            answer = _decode(self._post(msgspec.json.encode(asked)))
        except msgspec.MsgspecError as error:
            raise _unavailable("its answer is none of the interface") from error
        if [item.index for item in answer.data] != list(range(len(texts))):
            raise _unavailable("its answer does not have one vector for each text")
        try:
            vectors = np.asarray([item.embedding for item in answer.data], dtype=np.float32)
        except ValueError as error:
            raise _unavailable("its vectors differ in length") from error
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.all(np.isfinite(lengths)) or not np.all(lengths > 0):
            raise _unavailable("a vector of it has no length")
        normalised: Vectors = vectors / lengths
        return normalised

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self._settings.api_key:
            headers["Authorization"] = f"Bearer {self._settings.api_key}"
        url = f"{self._settings.endpoint.rstrip('/')}/embeddings"
        request = urllib.request.Request(url, body, headers, method="POST")
        try:
            with open_here(request, timeout=self._settings.timeout_seconds) as reply:
                content: bytes = reply.read(_MAX_REPLY_BYTES)
                return content
        except urllib.error.HTTPError as error:
            with error:
                if error.code in _REFUSALS:
                    raise AppError("invalid", "The embedding server refuses a text.") from error
                raise _unavailable(f"it answers {error.code}") from error
        except (OSError, HTTPException) as error:  # URLError and timeouts too
            raise _unavailable("it can't be reached") from error


def _unavailable(why: str) -> AppError:
    return AppError("unavailable", f"The embedding server: {why}.", retry_after_seconds=5.0)
