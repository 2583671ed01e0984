"""Members with tokens, threads to write to and texts to write, straight into the database."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final
from uuid import UUID, uuid4

import msgspec

from actors.access_token import sign
from actors.messages import Caller, CreateComment, CreatePost, Reply
from actors.shard_messages import Ephemeral, Publication
from actors.thread import Thread
from benchmarks.machine import BenchmarkError
from storage.directory import Directory
from storage.identity import NO_COUNTRY, new_id
from storage.postgres import Pool

_TOKEN_SECONDS: Final = 3_600
_BATCH: Final = 250
_MEMBERS: Final = """
    with i as (select * from unnest($1::uuid[], $2::text[]) i (id, handle)),
    s as (insert into stream (channel) select 'user:' || i.id from i returning id, channel)
    insert into account (id, handle, email, display_name, role, stream_id)
    select i.id, i.handle, i.handle || '@example.org', i.handle, 'member', s.id
    from i join s on s.channel = 'user:' || i.id"""

_SENTENCES: Final = (
    "I applied in **May** and heard nothing for six weeks.",
    "The consulate asked for a certified copy of the diploma, not for the original.",
    "See [the official page](https://example.org/visa/student) for the current list.",
    "> Do I need an appointment?\n\nYes, book it *before* you pay the fee.",
    "Bring:\n\n- the passport\n- two photographs\n- proof of funds for twelve months",
    "Wie lange hat es bei euch gedauert? Bei mir waren es acht Wochen.",
    "Meine Aufenthaltserlaubnis kam per Post, ein Termin war nicht nötig.",
    "El consulado me pidió el certificado de antecedentes penales apostillado.",
    "Combien de temps faut-il attendre après l'entretien ?",
    "Call `+49 30 000000` in the morning, nobody answers after eleven.",
)


class _Unheard:
    """Takes events and drops them: nobody follows yet."""

    def publish(self, publications: Sequence[Publication]) -> None: ...

    def publish_ephemeral(self, events: Sequence[Ephemeral]) -> None: ...


def texts() -> Iterator[str]:
    """Comments of two to four paragraphs, in turn; no two of a hundred are alike."""
    count = len(_SENTENCES)
    place = 0
    while True:
        chosen = [_SENTENCES[(place * 3 + step * 7) % count] for step in range(2 + place % 3)]
        yield "\n\n".join(chosen) + f"\n\nCase {place % 1_000}."
        place += 1


async def make_members(pool: Pool, count: int) -> list[Caller]:
    people = [
        Caller(new_id(NO_COUNTRY), f"b{uuid4().hex[:16]}", "Bench", "member", uuid4())
        for _ in range(count)
    ]
    await pool.execute(_MEMBERS, [p.account_id for p in people], [p.handle for p in people])
    return people


def token_of(person: Caller, secret: str) -> str:
    return sign(person, secret, time.time(), _TOKEN_SECONDS)


async def make_posts(
    pool: Pool, authors: Sequence[Caller], communities: Sequence[str]
) -> list[UUID]:
    """One post for each of `communities` (slugs, which may repeat), written as the server does."""
    thread = Thread(pool, Directory(pool), _Unheard())
    received_ns = int(datetime.now(UTC).timestamp() * 1e9)
    bodies = texts()
    requests = [
        CreatePost(
            authors[place % len(authors)], slug, f"Question {place}: how long did it take?",
            next(bodies), None, ("visa", "waiting"), None, received_ns,
        )
        for place, slug in enumerate(communities)
    ]  # fmt: skip
    return await _write(thread, requests)


async def make_comments(
    pool: Pool, authors: Sequence[Caller], posts: Sequence[UUID], each: int
) -> None:
    """`each` comments to each of the posts, written as the server does: every third one answers the
    post, the others answer one of these."""
    thread = Thread(pool, Directory(pool), _Unheard())
    received_ns = int(datetime.now(UTC).timestamp() * 1e9)
    bodies = texts()
    for post in posts:
        parents: list[UUID] = []
        for answers in (False, True):
            count = each - len(parents) if answers else -(-each // 3)
            written = await _write(
                thread,
                [
                    CreateComment(
                        authors[place % len(authors)], post,
                        parents[place % len(parents)] if answers else None, next(bodies), None,
                        received_ns,
                    )
                    for place in range(count)
                ],
            )  # fmt: skip
            parents = parents or written


async def _write(thread: Thread, requests: Sequence[CreatePost | CreateComment]) -> list[UUID]:
    """The ids in order."""
    made: list[UUID] = []
    waiting = iter(requests)
    while batch := list(islice(waiting, _BATCH)):
        for outcome in await thread.handle_batch(batch):
            if not isinstance(outcome, Reply):
                raise BenchmarkError(f"a write was refused: {outcome}")
            made.append(UUID(msgspec.json.decode(outcome.body)["id"]))
    return made
