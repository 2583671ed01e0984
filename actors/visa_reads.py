"""What Feed is asked about visa tools."""

from __future__ import annotations

from collections.abc import Callable

from actors.checklist_reads import ChecklistReader
from actors.messages import Reply
from actors.processing import ProcessingReader
from actors.timeline_reads import TimelineReader
from actors.visa_messages import ProcessingRead, TimelineRead, VisaRead
from config.settings import OfficialLinks
from storage.replicas import Readers


class VisaReader:
    def __init__(self, readers: Readers, rule: OfficialLinks, clock_ms: Callable[[], int]) -> None:
        self._timelines = TimelineReader(readers, clock_ms)
        self._processing = ProcessingReader(readers, clock_ms)
        self._checklists = ChecklistReader(readers, rule, clock_ms)

    async def answer(self, request: VisaRead) -> Reply:
        if isinstance(request, TimelineRead):
            return await self._timelines.answer(request)
        if isinstance(request, ProcessingRead):
            return await self._processing.answer(request)
        return await self._checklists.answer(request)
