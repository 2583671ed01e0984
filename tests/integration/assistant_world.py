"""An Assistant on a real database, and what stands for the deployments that it calls.

Passages are read from the same database with the asker's rights, all that there are: the gate has
to choose (`find`, where a test has no real retriever). The model writes what a test tells it to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec

from actors.assistant import Assistant, Retrieve
from actors.assistant_messages import AnswerEvent, AskQuestion, FinalAnswer
from actors.messages import GUEST, AcceptComment, Caller
from actors.plain_blocks import plain_blocks
from actors.retrieval_messages import Passage, RetrievalQuery
from ai.chunking import Block, chunks
from ai.engines.engine import Generation
from config.assistant import Assistant as AssistantSettings
from config.errors import AppError
from config.reference import countries_by_alpha2, countries_by_numeric
from storage.guides import GuideToImport, guide_id
from storage.postgres import Pool
from tests.integration.content import RECEIVED_NS, Content, content_on

TODAY: Final = date(2026, 11, 29)
HINDI: Final = "जर्मनी के स्टूडेंट वीज़ा के लिए ब्लॉक्ड अकाउंट में कितने पैसे चाहिए?"
ENGLISH: Final = "How much money must be in the blocked account for a German student visa?"
GUIDES: Final = {
    "en": (
        "Germany: national visa for studies",
        "## Money you must show\n- **EUR 11,904 per year** (EUR 992 per month), usually in a"
        " blocked account.\n\n## Fees\n- Visa: **EUR 75**.",
    ),
    "de": (
        "Deutschland: Visum zum Studium",
        "## Finanzierung\n- Nachzuweisen sind **11.904 Euro pro Jahr**, also 992 Euro im Monat.\n-"
        " Möglich sind Sperrkonto oder Stipendium.\n\n## Gebühren\n- Visum: **75 Euro**",
    ),
}

_PASSAGES: Final = """
    select 'post' as kind, p.id, null::uuid as post_id, p.country_id, p.visa_type, p.title,
           p.body_markdown as body, p.language, null::date as as_of, p.created_at,
           p.revision as version
    from post p join community y on y.id = p.community_id
    left join account v on v.id = $1
    left join membership m on m.community_id = y.id and m.account_id = v.id
    where p.deleted_at is null and may_read(v.role, y.visibility, m.role)
    union all
    select 'comment', c.id, p.id, p.country_id, p.visa_type, p.title, c.body_markdown, c.language,
           null, c.created_at, c.revision
    from post p join comment c on c.country_id = p.country_id and c.id = p.accepted_comment_id
    join community y on y.id = p.community_id
    left join account v on v.id = $1
    left join membership m on m.community_id = y.id and m.account_id = v.id
    where p.deleted_at is null and c.deleted_at is null and may_read(v.role, y.visibility, m.role)
    union all
    select 'guide', g.id, null, g.country_id, g.visa_type, g.title, g.body_markdown, g.language,
           g.as_of, g.created_at, g.version
    from guide g where g.withdrawn_at is null
    order by 2"""


async def passages_of(pool: Pool, query: RetrievalQuery) -> list[Passage]:
    found: list[Passage] = []
    for row in await pool.fetch(_PASSAGES, query.account_id):
        country = countries_by_numeric().get(row["country_id"])
        alpha2 = country.alpha2 if country is not None else None
        if query.country not in (None, alpha2):
            continue
        blocks = [Block(*block) for block in plain_blocks(row["body"])]
        found.extend(
            Passage(
                row["kind"], row["id"], row["post_id"], alpha2, row["visa_type"], row["title"],
                f"/posts/{row['post_id'] or row['id']}",
                "official" if row["kind"] == "guide" else "community", row["language"],
                row["as_of"], False, row["created_at"], text, 1.0, row["version"],
            )
            for text in chunks(blocks)
        )  # fmt: skip
    return found


@dataclass
class WritingModel:
    """Writes what `text` makes of the prompt, in pieces; `closed` says that it was cut off."""

    text: Callable[[str], str] = lambda prompt: "NOT FOUND"
    trusted: bool = True
    model: str = "a model of the tests"
    failure: AppError | None = None
    hangs: bool = False
    prompts: list[Generation] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def stream(
        self, generation: Generation, *, account_id: UUID | None
    ) -> AsyncGenerator[str, None]:
        self.prompts.append(generation)
        if self.failure is not None:
            raise self.failure
        written = self.text("\n".join(message.content for message in generation.messages))
        try:
            for at in range(0, len(written), 5):
                yield written[at : at + 5]
            if self.hangs:
                await asyncio.Event().wait()
        finally:
            self.closed.set()


@dataclass
class Told:
    """What somebody who asks is told."""

    events: list[AnswerEvent]

    @property
    def answer(self) -> FinalAnswer:
        assert [event.name for event in self.events].count("answer") == 1
        return msgspec.json.decode(self.events[-1].data, type=FinalAnswer)

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]

    @property
    def text(self) -> str:
        """Everything, as it was sent."""
        return "\n".join(event.data.decode() for event in self.events)


class AssistantWorld:
    def __init__(self, content: Content) -> None:
        self.content = content
        self.pool = content.pool
        self.model: Any = WritingModel(trusted=False)
        self.failure: AppError | None = None
        self.between: Callable[[], Any] | None = None
        self.find: Retrieve = partial(passages_of, content.pool)
        self.looked_up: list[RetrievalQuery] = []

    def assistant(self, **settings: Any) -> Assistant:
        return Assistant(
            self.pool, self._retrieve, self.model, AssistantSettings(**settings), lambda: TODAY
        )

    async def _retrieve(self, query: RetrievalQuery) -> Sequence[Passage]:
        if self.failure is not None:
            raise self.failure
        self.looked_up.append(query)
        found = await self.find(query)
        if self.between is not None:
            change, self.between = self.between, None
            await change()
        return found

    async def ask(self, question: str = ENGLISH, caller: Caller = GUEST, **fields: Any) -> Told:
        request = AskQuestion(caller, question, **fields)
        async with aclosing(self.assistant().ask(request)) as events:
            return Told([event async for event in events])

    async def guide(self, language: str = "en", country: str = "DE", **fields: Any) -> UUID:
        title, body = GUIDES[language]
        numeric = countries_by_alpha2()[country].numeric
        reference = f"g-{country}-{language}"
        guide = GuideToImport(
            guide_id(numeric, reference), numeric, reference, "student", language,
            fields.get("title", title), fields.get("body", body), "", "An authority",
            "https://example.org", date(2026, 2, 10), date(2026, 10, 1),
        )  # fmt: skip
        await self.pool.execute(
            "insert into guide (id, country_id, reference, visa_type, language, title,"
            " body_markdown, body_html, authority, source_url, as_of, last_checked)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            *(getattr(guide, name) for name in GuideToImport.__struct_fields__),
        )
        return guide.id

    async def answered(self, community: str = "de-student") -> tuple[Caller, UUID]:
        """A thread whose accepted comment holds the answer, and who wrote it."""
        ana = await self.content.member("ana")
        post = await self.content.post(
            ana, community, title="How much in the blocked account?", body="I wonder."
        )
        comment = await self.content.comment(ana, post["id"], body="It is 11,904 euros a year.")
        request = AcceptComment(ana, UUID(post["id"]), UUID(comment["id"]), RECEIVED_NS)
        self.content.body((await self.content.ask(request))[0])
        return ana, UUID(post["id"])

    async def answers(self) -> int:
        count: int = await self.pool.fetchval("select count(*) from answer")
        return count


@asynccontextmanager
async def assistant_world(database_url: str) -> AsyncIterator[AssistantWorld]:
    async with content_on(database_url) as content:
        yield AssistantWorld(content)
