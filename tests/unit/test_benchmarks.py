"""The arithmetic of the benchmarks, and their load program's request files."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import msgspec
import pytest

from benchmarks import idle_sockets, scale_out
from benchmarks.figures import Check, Verdict, conclude, median_difference, median_ratio, table
from benchmarks.load import Faults, fault_checks, http_request, rate_check, write_requests
from benchmarks.machine import BenchmarkError, cpu_seconds, json_of
from benchmarks.plan import Plan, read_plan
from benchmarks.reconnect_storm import Storm
from benchmarks.scale_out import ONE, TWO_NODES, Delivered, Round, Shape
from benchmarks.socket_reader import SocketReader


def test_the_ratio_is_the_median_of_paired_rounds() -> None:
    # The ratio of the medians would be 2; the rounds' own ratios are 1, 1.5 and 8.
    assert median_ratio([2.0, 3.0, 8.0], [2.0, 2.0, 1.0]) == 1.5


def test_the_difference_is_the_median_of_paired_rounds() -> None:
    assert median_difference([5.0, 9.0, 1.0], [4.0, 2.0, 1.0]) == 1.0


@pytest.mark.parametrize(
    ("ours", "baseline"), [([], []), ([1.0], [1.0, 2.0]), ([1.0, 1.0], [1.0, 0.0])]
)
def test_rounds_without_a_usable_baseline_are_refused(
    ours: list[float], baseline: list[float]
) -> None:
    with pytest.raises(ValueError, match="baseline"):
        median_ratio(ours, baseline)


def test_a_bound_itself_is_reached() -> None:
    assert Check("", 1.25, "<=", 1.25).reached
    assert not Check("", 1.26, "<=", 1.25).reached
    assert Check("", 5.0, ">=", 5.0).reached
    assert not Check("", 4.99, ">=", 5.0).reached


def test_one_missed_check_misses_the_bar_and_is_its_figure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    checks = [Check("hot", 9.0, ">=", 3.0), Check("many", 1.2, ">=", 1.5)]
    status = conclude(Verdict(4, checks, 3, {"load_was_busy": True}), ("a",), [(1,)])
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert status == 1
    assert (said["bar"], said["ratio"], said["must"], said["reached"]) == (4, 1.2, 1.5, False)
    assert [check["reached"] for check in said["checks"]] == [True, False]
    assert said["load_was_busy"] is True


def test_a_reached_bar_shows_the_check_nearest_to_its_bound(
    capsys: pytest.CaptureFixture[str],
) -> None:
    checks = [Check("cpu", 1.0, "<=", 3.0), Check("p99", 4.0, "<=", 5.0)]
    assert conclude(Verdict(3, checks, 3), ("a",), [(1,)]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["ratio"], said["must"], said["reached"]) == (4.0, 5.0, True)


def test_a_verdict_without_checks_is_not_reached() -> None:
    assert not Verdict(1, [], 3).reached


def test_table_aligns_numbers_to_the_right() -> None:
    assert table(("name", "rate"), [("a", 1.5), ("bcdef", 1234.4)]).splitlines() == [
        "name   rate",
        "-----  ----",
        "a      1.50",
        "bcdef  1234",
    ]


def test_request_files_hold_lengths_and_bytes(tmp_path: Path) -> None:
    request = http_request("POST", "/x", 80, {"A": "b"}, b"{}")
    assert (
        request == b"POST /x HTTP/1.1\r\nHost: 127.0.0.1:80\r\nA: b\r\nContent-Length: 2\r\n\r\n{}"
    )
    written = write_requests(tmp_path / "requests", [request, b"x"]).read_bytes()
    assert written == struct.pack("<I", len(request)) + request + struct.pack("<I", 1) + b"x"


def test_cpu_time_of_a_process_grows_and_of_none_is_refused() -> None:
    before = cpu_seconds([os.getpid()])
    while cpu_seconds([os.getpid()]) == before:
        sum(range(10_000))
    with pytest.raises(BenchmarkError, match="gone"):
        cpu_seconds([2**22 + 1])


def test_a_plan_needs_a_round() -> None:
    assert read_plan(["--quick", "--rounds", "1"], "").seconds(3.0) == 1.0
    with pytest.raises(SystemExit):
        read_plan(["--rounds", "0"], "")


def test_what_was_not_measured_is_not_reached_however_good_its_figures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    verdict = Verdict(7, [Check("rss", 1.0, "<=", 1.3)], 3, {}, ["9750 sockets instead of 10000"])
    assert conclude(verdict, ("a",), [(1,)]) == 2
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["reached"], said["not_measured"]) == (False, ["9750 sockets instead of 10000"])


@pytest.mark.parametrize(
    "fault",
    ["connections_dropped", "order_missing", "order_duplicates", "order_reorders"],
)
def test_one_fault_in_one_run_misses_a_bar(fault: str) -> None:
    assert all(check.reached for check in fault_checks([Faults(), Faults()]))
    checks = fault_checks([Faults(), Faults(**{fault: 1})])
    assert [check.reached for check in checks].count(False) == 1


def test_a_rate_is_reached_by_the_median_round() -> None:
    assert rate_check("", [100.0, 96.0, 10.0], 100.0).reached
    assert not rate_check("", [100.0, 94.0, 10.0], 100.0).reached


async def test_a_load_program_that_counted_faults_still_says_what_it_counted() -> None:
    violated = ["sh", "-c", "echo '{\"order_missing\":1}'; exit 3"]
    assert await json_of(violated, 1, accepted=(0, 3)) == {"order_missing": 1}
    with pytest.raises(BenchmarkError, match="exited 3"):
        await json_of(violated, 1)
    with pytest.raises(BenchmarkError, match="exited 3"):
        await json_of(["sh", "-c", "exit 3"], 1, accepted=(0, 3))


def test_a_storm_that_not_all_survive_took_at_least_the_time_they_were_waited_for() -> None:
    all_back = dict(
        connections_ok=2, storm_back=2, storm_publications=1,
        storm_unrecovered=0, storm_lost=0,
    )  # fmt: skip
    assert msgspec.convert({**all_back, "storm_all_back_ms": 5.5}, Storm).back_ms == 5.5
    assert msgspec.convert({**all_back, "storm_all_back_ms": None}, Storm).back_ms == 60_000


def test_fewer_sockets_than_asked_for_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 20_000))

    def refuse(_: int, wanted: tuple[int, int]) -> None:
        if wanted[1] > 20_000:
            raise ValueError("not allowed to raise maximum limit")
        limits.append(wanted)

    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert idle_sockets.affordable() == 9_750
    assert limits == [(20_000, 20_000)]


def rounds_of(
    rates: dict[Shape, float], faults: dict[str, int]
) -> Callable[[Shape, float], Awaitable[Round]]:
    """Of bar 14; `rates` as parts of what is asked."""

    async def measure_shape(shape: Shape, seconds: float) -> Round:
        asked = scale_out.PER_SECOND * scale_out.SOCKETS * shape.gateways
        per_second = asked * rates.get(shape, 1.0)
        delivered = Delivered(
            connections_ok=1, delivered_total=1, deliveries_per_s=per_second, **faults
        )
        return Round(100.0, per_second, [delivered])

    return measure_shape


@pytest.mark.parametrize(
    ("rates", "faults", "status"),
    [
        ({}, {}, 0),
        ({}, {"order_missing": 1}, 1),
        ({TWO_NODES: 0.9}, {}, 1),
        ({ONE: 0.9}, {}, 2),
    ],
)
async def test_more_gateways_must_reach_the_rate_and_lose_nothing(
    monkeypatch: pytest.MonkeyPatch, rates: dict[Shape, float], faults: dict[str, int], status: int
) -> None:
    monkeypatch.setattr(scale_out, "why_not", str)
    monkeypatch.setattr(scale_out, "measure_shape", rounds_of(rates, faults))
    assert await scale_out.measure(Plan(rounds=1)) == status


class _Written:
    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.frames.append(data)


def test_a_reader_of_many_channels_answers_a_ping_once() -> None:
    """A second pong, which nobody asked for, ends the connection."""
    reader, transport = SocketReader(["a"]), _Written()
    reader._transport = cast(asyncio.WriteTransport, transport)
    reader._greeted, reader._subscribed = True, 1
    publication = b'{"push":{"pub":{"data":"a long text"}}}'
    for data in (publication + b"\x81", b"\x02{}", publication, publication + b"\x81\x02{}", b"{"):
        reader.data_received(data)
    assert len(transport.frames) == 2
    assert reader.publications == 3
