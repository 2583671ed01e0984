"""The engine that the settings name.

Each is imported only where it is chosen: vLLM takes seconds and gigabytes, and no laptop has it.
"""

from __future__ import annotations

from typing import Final

from ai.engines.engine import Engine
from config.llm import Llm

_IDLE_SECONDS: Final = 300
"""A laptop gets its memory back (330 MB become 65), and pays a second when somebody asks again."""


def chosen_engine(settings: Llm, *, gpus: float = 0) -> Engine:
    """Not started. Raises AppError 'unavailable' where it is not installed."""
    if settings.engine == "openai":
        from ai.engines.openai_http import OpenAiHttp

        return OpenAiHttp(
            settings.endpoint,
            settings.model,
            api_key=settings.api_key,
            silence_seconds=settings.first_token_seconds,
        )
    if settings.engine == "vllm":
        from ai.engines.vllm_engine import VllmEngine

        return VllmEngine(
            settings.model,
            context_tokens=settings.context_tokens,
            parallel=settings.turns,
            gpus=gpus,
        )
    from ai.engines.llama_cpp import LlamaCpp, built_in_weights

    return LlamaCpp(
        settings.model_file or built_in_weights(),
        context_tokens=settings.context_tokens,
        parallel=settings.turns,
        threads=settings.threads,
        gpu_layers=settings.gpu_layers,
        idle_seconds=_IDLE_SECONDS if settings.is_built_in else -1,
        silence_seconds=settings.first_token_seconds,
    )
