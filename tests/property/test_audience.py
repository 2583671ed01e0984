"""Readers of every kind come, go, and read slowly while publications of every kind flow, through a
sender that keeps what it likes for later: each reader gets its publications in order, once, all
that it is due, and can always make of patches what was published."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.shard_messages import KIND_JOIN, KIND_LEAVE, KIND_PUBLICATION
from serve_app.gateway.channel import Wants
from tests.hub_bench import MAX_BUFFERED, HubBench, Reader

Step = tuple[str, object, object]
READERS = 6
KINDS = dict.fromkeys(("durable", "ephemeral", "counter"), KIND_PUBLICATION) | {
    "join": KIND_JOIN,
    "leave": KIND_LEAVE,
}
LATE = MAX_BUFFERED // 2 + 1

number = st.integers(0, READERS - 1)
# Few kinds, so that readers often share a group.
wants = st.sampled_from(
    [Wants(0), Wants.JOIN_LEAVE, Wants.PASSIVE, *[Wants.DELTA] * 4, Wants.DELTA | Wants.JOIN_LEAVE]
)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("publish"), st.sampled_from(sorted(KINDS)), st.sampled_from([1, 40, 4_500])
        ),
        st.tuples(st.just("publish"), st.sampled_from(sorted(KINDS)), st.just(40)),
        st.tuples(st.just("join"), number, st.tuples(wants, st.booleans())),
        st.tuples(st.just("part"), number, st.none()),
        st.tuples(st.just("unsent"), number, st.sampled_from([0, LATE, MAX_BUFFERED + 1])),
        st.tuples(st.just("at_once"), st.integers(0, READERS), st.none()),
        st.tuples(st.just("go_on"), st.integers(1, 4), st.none()),
        st.tuples(st.just("tick"), st.none(), st.none()),
    ),
    min_size=10,
    max_size=60,
)


class Model:
    """What a reader is due since it came."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.wants = Wants(0)
        self.due: list[tuple[str, bytes]] = []
        self.was_late = False

    def join(self, wants: Wants, base: bytes | None) -> None:
        self.wants, self.due, self.was_late = wants, [], False
        self.reader.admit(wants, base)

    def publish(self, kind: str, data: bytes) -> None:
        if self.reader.wants is None:
            return
        passive = Wants.PASSIVE in self.wants
        asked = {
            "durable": not passive,
            "ephemeral": not passive,
            "counter": True,
            "join": not passive and Wants.JOIN_LEAVE in self.wants,
        }
        if asked["join" if kind == "leave" else kind]:
            self.due.append(("ephemeral" if kind == "counter" else kind, data))

    def check(self, *, complete: bool) -> None:
        """`complete`: nothing is pending or kept."""
        got = self.reader.events
        due = iter(self.due)
        assert all(any(event == other for other in due) for event in got), "order, and once"
        if self.was_late:
            durable = [event for event in self.due if event[0] == "durable"]
            got = [event for event in got if event[0] == "durable"]
        else:
            durable = self.due
        assert got == durable[: len(got)], "a gap"
        if complete and self.reader.wants is not None:
            assert got == durable


@settings(max_examples=250)
@given(st.lists(wants, min_size=READERS, max_size=READERS), steps)
def test_order_completeness_and_deltas(first: list[Wants], plan: list[Step]) -> None:
    asyncio.run(_run(first, plan))


async def _run(wanted: list[Wants], plan: list[Step]) -> None:
    bench = await HubBench().begin()
    models = [Model(bench.reader(max(0, n - 3))) for n in range(READERS)]
    for model, model_wants in zip(models, wanted, strict=True):
        model.join(model_wants, None)
    newest: bytes | None = None
    serial = 0
    for step, first, second in plan:
        if step == "publish":
            assert isinstance(first, str) and isinstance(second, int)
            serial += 1
            data = b'"%b%d%b"' % (b"x" * second, serial, b"x" * second)
            for model in models:
                model.publish(first, data)
            if KINDS[first] == KIND_PUBLICATION:
                newest = data if first == "durable" else newest
            counter = first == "counter"
            bench.publish(data, durable=first == "durable", kind=KINDS[first], counter=counter)
        elif step == "join":
            assert isinstance(first, int) and isinstance(second, tuple)
            model = models[first]
            if model.reader.wants is None:
                model.join(second[0], newest if second[1] else None)
        elif step == "part":
            assert isinstance(first, int)
            if models[first].reader.wants is not None:
                models[first].reader.leave()
                models[first].check(complete=False)
        elif step == "unsent":
            assert isinstance(first, int) and isinstance(second, int)
            models[first].reader.outlet.unsent = second
            models[first].was_late = models[first].was_late or second > 0
        elif step == "at_once":
            assert isinstance(first, int)
            bench.sender.at_once = first
        elif step == "go_on":
            assert isinstance(first, int)
            bench.sender.go_on(first)
        else:
            await bench.tick()
        for model in models:
            model.check(complete=False)
    bench.hub.flush_all()
    for model in models:
        model.check(complete=True)
        assert model.reader.wants is None or not model.reader.was_slow
    assert len(bench.channel.audience) == sum(m.reader.wants is not None for m in models)
    for model in models:
        if model.reader.wants is not None:
            model.reader.leave()
    assert not bench.channel.audience.groups
    await bench.end()
    assert bench.source.detached == 1
