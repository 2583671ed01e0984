"""Settings of the model that writes texts: which it is, and how much of it there is to go round."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta

from config.section import Seconds, Section, Timeout

BUILT_IN_MODEL: Final = "SmolLM2-135M-Instruct"

_PARALLEL: Final = {"": 2, "llama_cpp": 2, "openai": 16, "vllm": 64}


class Llm(Section, frozen=True):
    """The model that writes texts (docs/assistant.md)."""

    engine: Literal["", "llama_cpp", "openai", "vllm"] = ""
    """Empty: llama_cpp."""
    model: str = ""
    """llama_cpp: path of a GGUF file, empty for the small one that comes along. openai: its name
    there. vllm: a folder or a name that vLLM knows."""
    endpoint: str = ""
    """openai: the server's address up to and with /v1."""
    api_key: str = ""
    """openai: sent as a bearer token, so outside a network of your own the endpoint is https."""
    trusted: bool | None = None
    """Whether its answers are shown where they pass verification. Not set: those of every model but
    the one that comes along, which is for trying out alone."""
    translates: bool = False
    """Whether it is good enough to translate what members ask it to. The model that comes along is
    not, whatever this says."""
    context_tokens: Annotated[int, Meta(ge=512, le=1 << 20)] = 4_096
    """Prompt and answer of one stream together; longer ones are refused."""
    parallel: Annotated[int, Meta(ge=0, le=1_024)] = 0
    """Streams that the engine of a replica works on at the same time; further ones wait. 0: what
    suits the engine, 2 for llama_cpp, 16 for openai, 64 for vllm."""
    max_waiting: Annotated[int, Meta(ge=0, le=10_000)] = 16
    """At a replica; further ones are answered 429."""
    max_tokens: Annotated[int, Meta(ge=1, le=65_536)] = 512
    """Of one answer."""
    deadline_seconds: Timeout = 60.0
    """Of one answer, waiting included."""
    first_token_seconds: Timeout = 30.0
    """An engine that takes longer to begin has failed."""
    member_tokens_per_day: Annotated[int, Meta(ge=0, le=1 << 40)] = 100_000
    """Prompts and answers of a member, and of all guests together; 0: no bound."""
    failures_to_open: Annotated[int, Meta(ge=1, le=1_000)] = 5
    """After so many failures one after the other nobody asks the engine for `open_seconds`."""
    open_seconds: Timeout = 10.0
    threads: Annotated[int, Meta(ge=0, le=1_024)] = 0
    """llama_cpp: threads that compute; 0: one fewer than there are cores."""
    gpu_layers: Annotated[int, Meta(ge=-1, le=10_000)] = -1
    """llama_cpp built for GPUs: layers that lie there; -1: as many as fit."""
    streams_per_replica: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """Where `deployments.llm.max_replicas` is above `replicas`: one more replica for each so many
    streams, running and waiting. 0: twice `parallel`."""
    scale_up_seconds: Seconds = 10.0
    scale_down_seconds: Seconds = 600.0

    def __post_init__(self) -> None:
        # Messages never repeat what may hold a password.
        if self.endpoint and not self.endpoint.startswith(("http://", "https://")):
            raise ValueError("endpoint: must begin with http:// or https://")
        if self.engine == "openai" and not (self.endpoint and self.model):
            raise ValueError("endpoint: the engine openai needs it, and the name of a model there")
        if self.engine == "vllm" and not self.model:
            raise ValueError("model: the engine vllm needs one")
        if self.engine != "openai" and (self.endpoint or self.api_key):
            raise ValueError("endpoint: is for the engine openai, and so is api_key")
        if self.api_key and "@" in self.endpoint:
            raise ValueError("endpoint: holds a user or password beside the api_key, one too many")
        if self.max_tokens >= self.context_tokens:
            raise ValueError("max_tokens: must leave room for a prompt in context_tokens")

    @property
    def turns(self) -> int:
        """`parallel`, decided."""
        return self.parallel or _PARALLEL[self.engine]

    @property
    def full_replica(self) -> int:
        """`streams_per_replica`, decided."""
        return self.streams_per_replica or 2 * self.turns

    @property
    def is_built_in(self) -> bool:
        return self.engine in ("", "llama_cpp") and not self.model

    @property
    def can_translate(self) -> bool:
        return self.translates and not self.is_built_in

    @property
    def model_file(self) -> Path | None:
        """What llama.cpp shall read; None where it is not named, or another engine is."""
        named = self.engine in ("", "llama_cpp") and self.model
        return Path(self.model) if named else None

    @property
    def is_trusted(self) -> bool:
        return not self.is_built_in if self.trusted is None else self.trusted

    @property
    def model_name(self) -> str:
        """For people and keys of caches: neither path nor ending of a file."""
        if self.is_built_in:
            return BUILT_IN_MODEL
        name = self.model.rstrip("/")
        return Path(name).name.removesuffix(".gguf") if self.engine != "openai" else name
