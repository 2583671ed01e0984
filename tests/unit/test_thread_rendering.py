from __future__ import annotations

import asyncio
import threading

import pytest

import actors.thread_rendering as module
from actors.thread_rendering import (
    MAX_INLINE_MARKS,
    SLICE_SECONDS,
    Slices,
    render_text,
    renders_inline,
)


def test_marks_decide_where_a_text_is_rendered() -> None:
    assert renders_inline("[" * MAX_INLINE_MARKS)
    assert not renders_inline("[" * (MAX_INLINE_MARKS + 1))
    assert renders_inline("Words of ordinary prose and no marks at all " * 200)
    assert not renders_inline("a\n\n" * 200)


async def test_long_work_leaves_the_loop_free(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def waits(markdown: str) -> str:
        assert release.wait(10)
        return "<p>done</p>"

    monkeypatch.setattr(module, "render", waits)
    rendering = asyncio.create_task(render_text("![" * 2_000))
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
