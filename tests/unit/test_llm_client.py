"""What callers of the LLM deployment see of its stream, and of its end."""

from __future__ import annotations

from contextlib import aclosing

import msgspec
import pytest
from ray.exceptions import ActorUnavailableError

import serve_app.deployment_stream as deployment_stream
from actors.llm_messages import GenerateText, TextChunk
from actors.messages import Failure
from ai.engines.engine import ChatMessage, Generation
from config.errors import AppError
from config.llm import Llm
from serve_app.llm_client import LlmClient

QUESTION = Generation((ChatMessage("user", "Which form?"),), stop=("\n\n",))
GONE = ActorUnavailableError("gone", b"\x00" * 16)


class FakeFrames:
    def __init__(self, *frames: TextChunk | Failure | Exception) -> None:
        self._frames = list(frames)
        self.cancelled = False

    async def __anext__(self) -> bytes:
        if not self._frames:
            raise StopAsyncIteration
        frame = self._frames.pop(0)
        if isinstance(frame, Exception):
            raise frame
        return msgspec.msgpack.encode(frame)

    def cancel(self) -> None:
        self.cancelled = True


class FakeDeployment:
    """Answers each call with the next of its streams."""

    def __init__(self, *streams: FakeFrames) -> None:
        self.streams = list(streams)
        self.calls: list[bytes] = []

    def __call__(self, payload: bytes) -> FakeFrames:
        self.calls.append(payload)
        return self.streams[len(self.calls) - 1]


def client(deployment: FakeDeployment) -> LlmClient:
    return LlmClient(Llm(), deployment)


async def text_of(deployment: FakeDeployment) -> list[str]:
    return [piece async for piece in client(deployment).stream(QUESTION, account_id=None)]


async def test_text_comes_in_order_and_the_stream_is_given_back() -> None:
    deployment = FakeDeployment(FakeFrames(TextChunk("Form ", 1), TextChunk("I-20", 2)))
    assert await text_of(deployment) == ["Form ", "I-20"]
    assert deployment.streams[0].cancelled
    sent = msgspec.msgpack.decode(deployment.calls[0], type=GenerateText)
    assert sent == GenerateText(QUESTION, None)


async def test_a_failure_is_raised_as_itself() -> None:
    failure = Failure("rate_limited", "Too many wait.", retry_after_seconds=2.0)
    deployment = FakeDeployment(FakeFrames(TextChunk("Form", 1), failure))
    got = []
    with pytest.raises(AppError) as raised:
        async for piece in client(deployment).stream(QUESTION, account_id=None):
            got.append(piece)
    assert got == ["Form"]
    assert (raised.value.code, raised.value.retry_after_seconds) == ("rate_limited", 2.0)


async def test_who_stops_reading_cancels_the_stream() -> None:
    deployment = FakeDeployment(FakeFrames(TextChunk("Form", 1), TextChunk(" I-20", 2)))
    async with aclosing(client(deployment).stream(QUESTION, account_id=None)) as pieces:
        async for _ in pieces:
            break
    assert deployment.streams[0].cancelled


async def test_a_replica_that_dies_before_the_first_chunk_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deployment_stream, "_PAUSE_SECONDS", 0)
    deployment = FakeDeployment(FakeFrames(GONE), FakeFrames(TextChunk("Form", 1)))
    assert await text_of(deployment) == ["Form"]
    assert len(deployment.calls) == 2


async def test_one_that_dies_later_is_not_asked_again() -> None:
    deployment = FakeDeployment(FakeFrames(TextChunk("Form", 1), GONE))
    with pytest.raises(AppError, match="restarting") as raised:
        await text_of(deployment)
    assert raised.value.code == "unavailable"
    assert len(deployment.calls) == 1


@pytest.mark.parametrize(
    ("settings", "trusted", "model"),
    [
        (Llm(), False, "SmolLM2-135M-Instruct"),
        (Llm(trusted=True), True, "SmolLM2-135M-Instruct"),
        (Llm(model="/models/qwen3-8b-q4.gguf"), True, "qwen3-8b-q4"),
        (Llm(model="/models/small.gguf", trusted=False), False, "small"),
        (Llm(engine="openai", endpoint="https://h/v1", model="org/big"), True, "org/big"),
        (Llm(engine="vllm", model="/models/big/"), True, "big"),
    ],
)
def test_the_model_that_comes_along_is_not_trusted(
    settings: Llm, trusted: bool, model: str
) -> None:
    asked = LlmClient(settings, FakeDeployment())
    assert (asked.trusted, asked.model) == (trusted, model)
