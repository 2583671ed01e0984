"""vLLM's AsyncLLM in this process: continuous batching on GPUs (or, to try it, on a CPU).

Written for vLLM 0.32 and 0.33. It is imported when it starts, in a thread: that takes seconds, and
loading a model takes minutes. Its engine core is a process of its own, which ends with this one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final
from uuid import uuid4

from ai.engines.engine import EngineStatistics, Generation, Health
from config.errors import AppError

_log = logging.getLogger(__name__)

_FAILED: Final = "The model does not answer."


class VllmEngine:
    def __init__(
        self,
        model: str,
        *,
        context_tokens: int,
        parallel: int,
        gpus: float = 0,
        options: dict[str, Any] | None = None,
    ) -> None:
        """`gpus` that this process was given: the model is spread over them. `options` are further
        AsyncEngineArgs."""
        self._context_tokens = context_tokens
        self._arguments: dict[str, Any] = {
            "model": model,
            "max_model_len": context_tokens,
            "max_num_seqs": parallel,
            "tensor_parallel_size": max(1, int(gpus)),
            "disable_log_stats": True,
            **(options or {}),
        }
        self._engine: Any = None
        self._starting: asyncio.Task[Any] | None = None
        self._health: Health = "idle"
        self._running = 0
        self._starts = 0

    async def start(self) -> None:
        if self._engine is not None:
            return
        if self._starting is None or self._starting.done():
            self._health = "starting"
            self._starting = asyncio.create_task(self._start(), name="vllm-start")
        # Shielded: who stops waiting must not end the start for everybody else.
        await asyncio.shield(self._starting)

    async def stream(self, generation: Generation) -> AsyncGenerator[str, None]:
        await self.start()
        from vllm.exceptions import VLLMClientError, VLLMError

        self._running += 1
        try:
            prompt = await asyncio.to_thread(self._prompt, generation)
            outputs = self._engine.generate(prompt, _sampling(generation), uuid4().hex)
            async with aclosing(outputs):  # closing it aborts the request in the engine
                async for output in outputs:
                    if text := output.outputs[0].text:
                        yield text
        except VLLMClientError as error:
            raise AppError("invalid", "The model refuses that.") from error
        except VLLMError as error:
            _log.error("vLLM failed: %s", type(error).__name__)
            raise AppError("unavailable", _FAILED) from error
        finally:
            self._running -= 1

    def health(self) -> Health:
        if self._engine is not None and self._engine.errored:
            return "dead"  # it can't be started twice in a process
        return self._health

    def statistics(self) -> EngineStatistics:
        return EngineStatistics(self.health(), self._running, self._starts)

    async def close(self) -> None:
        if self._starting is not None and not self._starting.done():
            await asyncio.wait([self._starting])  # a thread can't be cancelled
        if self._engine is not None:
            await asyncio.to_thread(self._engine.shutdown)

    async def _start(self) -> None:
        try:
            self._engine = await asyncio.to_thread(self._load)
        except ImportError as error:
            self._health = "away"
            _log.error("vLLM is not installed here (requirements-gpu.lock): %s", error)
            raise AppError("unavailable", _FAILED) from error
        except (RuntimeError, ValueError, OSError) as error:
            self._health = "away"
            _log.error("vLLM does not start: %s", error)
            raise AppError("unavailable", _FAILED) from error
        self._health = "ready"
        self._starts += 1

    def _load(self) -> Any:
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        return AsyncLLM.from_engine_args(AsyncEngineArgs(**self._arguments))

    def _prompt(self, generation: Generation) -> dict[str, list[int]]:
        """The tokens of the messages as the model's own template writes them."""
        tokenizer = self._engine.get_tokenizer()
        messages = [{"role": each.role, "content": each.content} for each in generation.messages]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        tokens = tokenizer.encode(text, add_special_tokens=False)
        if len(tokens) + generation.max_tokens > self._context_tokens:
            raise AppError("too_large", "That is more than the model reads at once.")
        return {"prompt_token_ids": tokens}


def _sampling(generation: Generation) -> Any:
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    return SamplingParams(
        max_tokens=generation.max_tokens,
        temperature=generation.temperature,
        stop=list(generation.stop) or None,
        output_kind=RequestOutputKind.DELTA,
    )
