from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import msgspec
import pytest

from actors.messages import GUEST, Failure, Outcome, ReadPost, Reply, ThreadRequest
from config.errors import AppError
from serve_app import batched_handle
from serve_app.batched_handle import BatchedHandle, encode
from serve_app.lines import LineLost, NotSent

_decode = msgspec.msgpack.Decoder(list[ThreadRequest]).decode


class Deployment:
    """Answers a batch by the ids it asks for; raises what `failures` holds first."""

    def __init__(self, failures: Sequence[Exception] = ()) -> None:
        self.failures = list(failures)
        self.batches: list[list[ThreadRequest]] = []

    async def __call__(self, payload: bytes) -> bytes:
        self.batches.append(_decode(payload))
        if self.failures:
            raise self.failures.pop(0)
        outcomes: list[Outcome] = []
        for request in self.batches[-1]:
            assert isinstance(request, ReadPost)
            number = request.post_id.int
            outcomes.append(
                Failure("not_found", str(number)) if number % 2 else Reply(200, b"%d" % number)
            )
        return encode(outcomes)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batched_handle, "_FIRST_PAUSE_SECONDS", 0.0)


def read(number: int) -> ReadPost:
    return ReadPost(GUEST, UUID(int=number))


async def test_each_caller_gets_its_own_outcome_of_one_call() -> None:
    deployment = Deployment()
    handle: BatchedHandle[ThreadRequest] = BatchedHandle("thread", deployment, in_flight=1)
    results = await asyncio.gather(
        *(handle.call(read(number)) for number in range(4)), return_exceptions=True
    )
    assert len(deployment.batches) == 1
    assert results[0] == Reply(200, b"0")
    assert results[2] == Reply(200, b"2")
    for number in (1, 3):
        failure = results[number]
        assert isinstance(failure, AppError)
        assert (failure.code, failure.detail) == ("not_found", str(number))


async def test_a_batch_whose_replica_died_is_sent_again_whole() -> None:
    deployment = Deployment([LineLost()] * 2)
    handle: BatchedHandle[ThreadRequest] = BatchedHandle("thread", deployment, in_flight=1)
    first, second = await asyncio.gather(handle.call(read(2)), handle.call(read(4)))
    assert (first.body, second.body) == (b"2", b"4")
    assert deployment.batches == [[read(2), read(4)]] * 3


async def test_what_must_not_run_twice_is_not_sent_again() -> None:
    deployment = Deployment([LineLost()])
    handle: BatchedHandle[ThreadRequest] = BatchedHandle(
        "thread", deployment, in_flight=1, resend=False
    )
    with pytest.raises(AppError) as refused:
        await handle.call(read(2))
    assert refused.value.code == "unavailable"
    assert refused.value.retry_after_seconds is not None
    assert len(deployment.batches) == 1


async def test_what_has_not_been_asked_is_asked_in_any_case() -> None:
    deployment = Deployment([NotSent()])
    handle: BatchedHandle[ThreadRequest] = BatchedHandle(
        "thread", deployment, in_flight=1, resend=False
    )
    assert (await handle.call(read(2))).body == b"2"


async def test_a_deployment_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batched_handle, "RESEND_SECONDS", 0.0)
    deployment = Deployment([LineLost()] * 100)
    handle: BatchedHandle[ThreadRequest] = BatchedHandle("thread", deployment, in_flight=1)
    with pytest.raises(AppError) as refused:
        await handle.call(read(2))
    assert refused.value.code == "unavailable"


async def test_a_failure_of_a_call_is_its_callers() -> None:
    deployment = Deployment([AppError("internal", "A part of the server failed.")])
    handle: BatchedHandle[ThreadRequest] = BatchedHandle("thread", deployment, in_flight=1)
    with pytest.raises(AppError) as failed:
        await handle.call(read(2))
    assert failed.value.code == "internal"
    assert len(deployment.batches) == 1, "it is not sent again"
    assert (await handle.call(read(4))).body == b"4"
