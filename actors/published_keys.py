"""What was answered to publications that carried an idempotency key. Pure: times are seconds of
any monotonic clock, handed in.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from actors.shard_messages import PublishReply

KEY_SECONDS: Final = 300.0


class PublishedKeys:
    """Keys live for five minutes; of more than `max_keys` the oldest are forgotten before."""

    def __init__(self, max_keys: int = 100_000) -> None:
        self._max_keys = max_keys
        # In the order of their times, since every key lives equally long.
        self._answers: OrderedDict[tuple[str, str], tuple[float, PublishReply]] = OrderedDict()

    def find(self, channel: str, key: str, now: float) -> PublishReply | None:
        self._expire(now)
        found = self._answers.get((channel, key))
        return found[1] if found is not None else None

    def keep(self, channel: str, key: str, reply: PublishReply, now: float) -> None:
        self._expire(now)
        self._answers.pop((channel, key), None)
        self._answers[channel, key] = (now + KEY_SECONDS, reply)
        if len(self._answers) > self._max_keys:
            self._answers.popitem(last=False)

    def __len__(self) -> int:
        return len(self._answers)

    def _expire(self, now: float) -> None:
        while self._answers:
            oldest = next(iter(self._answers))
            if self._answers[oldest][0] > now:
                return
            del self._answers[oldest]
