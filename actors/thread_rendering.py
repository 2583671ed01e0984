"""Rendering and judging texts on the loop that also serves other batches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec

from actors.markdown import render
from actors.messages import RenderMarkdown, Reply
from ai.language import detect

# A character of hostile text takes a microsecond: up to this many are rendered on the loop, longer
# texts in a thread.
MAX_INLINE_CHARACTERS: Final = 4_000
SLICE_SECONDS: Final = 0.005
_LANGUAGE_SAMPLE: Final = 2_000


class Slices:
    """One batch's turn on the loop: `give_way` lets others run once it has lasted `SLICE_SECONDS`,
    however many items that were."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = clock()

    async def give_way(self) -> None:
        if self._clock() - self._began >= SLICE_SECONDS:
            await asyncio.sleep(0)
            self._began = self._clock()


async def render_text(markdown: str) -> str:
    """`render`, in a thread where it may take more than a slice. A cancelled call leaves its thread
    to end by itself."""
    if len(markdown) <= MAX_INLINE_CHARACTERS:
        return render(markdown)
    return await asyncio.to_thread(render, markdown)


async def preview(request: RenderMarkdown) -> Reply:
    """As it would be shown, sanitised like all texts."""
    html = await render_text(request.body_markdown)
    return Reply(200, msgspec.json.encode({"body_html": html}))


def language_of(text: str) -> str:
    return detect(text[:_LANGUAGE_SAMPLE])


def language_of_post(title: str, body_markdown: str) -> str:
    return language_of(f"{title}\n{body_markdown}")
