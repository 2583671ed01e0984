from __future__ import annotations

import asyncio
import threading

import pytest

import actors.thread_rendering as module
from actors.thread_rendering import MAX_INLINE_CHARACTERS, SLICE_SECONDS, Slices, render_text


async def test_long_work_leaves_the_loop_free(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def waits(markdown: str) -> str:
        assert release.wait(10)
        return "<p>done</p>"

    monkeypatch.setattr(module, "render", waits)
    rendering = asyncio.create_task(render_text("![" * MAX_INLINE_CHARACTERS))
    await asyncio.sleep(0)  # would not come back from a render on the loop
    release.set()
    assert await rendering == "<p>done</p>"


async def test_a_slice_ends_by_time() -> None:
    now = 0.0
    slices = Slices(lambda: now)
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for _ in range(100):
        await slices.give_way()
    assert others == 0
    now += SLICE_SECONDS
    await slices.give_way()
    assert others == 1
    await slices.give_way()
    assert others == 1
    task.cancel()
