"""Settings of the assistant."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from config.section import Section, Timeout

_Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]


class Assistant(Section, frozen=True):
    cache_seconds: _Seconds = 86_400.0
    """How long an answer is given again, while all that it cites stands as it was."""
    not_found_seconds: _Seconds = 600.0
    """The same for "I could not find this": new posts may hold it."""
    kept_days: Annotated[int, Meta(ge=1, le=3_650)] = 30
    """Questions and answers, for feedback; feedback is kept for a year."""
    passages: Annotated[int, Meta(ge=1, le=100)] = 24
    """How many are asked of retrieval for a question."""
    max_running: Annotated[int, Meta(ge=1, le=10_000)] = 32
    """Questions that a replica answers at the same time; further ones are answered 503."""
    max_tokens: Annotated[int, Meta(ge=16, le=4_096)] = 320
    """Of a generated answer."""
    retrieval_seconds: Timeout = 10.0
    generation_seconds: Timeout = 40.0
    """How long the model may take, waiting included; then the sources' own words are shown."""
