"""The memory of a gateway process whose hundred readers stop reading, under wsload --slow."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from benchmarks.bare_gateway import CHANNEL
from benchmarks.load import URL_PATH
from benchmarks.machine import built, free_port, module, running

pytestmark = pytest.mark.slow

STUCK: Final = 100
PROMPT: Final = 5
QUEUE_BYTES: Final = 262_144
PUBLICATION_BYTES: Final = 50_000
PER_SECOND: Final = 100
# Of the interpreter, for what it makes and throws away meanwhile.
SLACK_BYTES: Final = 16_777_216
PATIENCE_SECONDS: Final = 120.0
_SLOW_CLOSES: Final = re.compile(r"^serai_realtime_slow_closes_total (\S+)$", re.MULTILINE)


def most_resident_bytes(pid: int) -> int:
    """The most that the process has ever had in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1_024


async def slow_closes(session: aiohttp.ClientSession) -> int:
    async with session.get("/metrics") as response:
        found = _SLOW_CLOSES.search(await response.text())
    return int(float(found[1])) if found else 0


@pytest.mark.skipif(shutil.which("cc") is None, reason="wsload needs a C compiler")
async def test_a_process_with_stuck_readers_grows_by_their_queues_at_most(tmp_path: Path) -> None:
    port = free_port()
    gateway_command = module(
        "benchmarks.bare_gateway", port, PER_SECOND, "together",
        f"bytes={PUBLICATION_BYTES}", f"queue={QUEUE_BYTES}",
    )  # fmt: skip
    load_command = [
        str(built("wsload/wsload.c")), "--url", f"ws://127.0.0.1:{port}{URL_PATH}",
        "--channel", CHANNEL, "--connections", str(STUCK + PROMPT), "--slow", str(STUCK),
        "--warmup", "1", "--seconds", str(PATIENCE_SECONDS), "--track", "--json",
    ]  # fmt: skip
    async with (
        running(gateway_command, env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}) as gateway,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        load = await asyncio.create_subprocess_exec(
            *load_command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            before = most_resident_bytes(gateway.pid)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await slow_closes(session) < STUCK:
                    assert load.returncode is None, await load.communicate()
                    await asyncio.sleep(0.1)
            grown = most_resident_bytes(gateway.pid) - before
            load.send_signal(signal.SIGINT)
            async with asyncio.timeout(PATIENCE_SECONDS):
                output, _ = await load.communicate()
        finally:
            if load.returncode is None:
                load.kill()
                await load.wait()
    counted = json.loads(output)
    assert counted["connections_ok"] == STUCK + PROMPT
    assert (counted["connections_dropped"], counted["order_gaps"]) == (0, 0), "the others go on"
    # Beyond its bound a queue holds the publication that was too much, and a close frame.
    assert grown < STUCK * (QUEUE_BYTES + 2 * PUBLICATION_BYTES) + SLACK_BYTES, grown
