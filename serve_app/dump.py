"""The lines of a community dump: decoded, checked, rendered, given their ids. No I/O.

Ids follow from what a line says, so that importing it again finds what it made before.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from actors.markdown import render
from actors.tags import stored_tags
from config.reference import countries_by_alpha2
from serve_app.api.fields import CommentText, Language, Languages, PostText, Tags, Title
from storage.identity import NO_COUNTRY, lowest_id_at
from storage.importing import AccountToImport, CommentToImport, PostToImport

MAX_DEPTH: Final = 12  # as write_comments attaches (migrations/0003_writes.sql)
MAX_COMMENTS: Final = 100_000
_HASH_MASK: Final = (1 << 62) - 1
_HANDLE: Final = re.compile(r"[a-z0-9_]{3,30}")
_NO_HANDLE: Final = re.compile(r"[^a-z0-9_]")
_NO_SLUG: Final = re.compile(r"[^a-z0-9]+")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")

Name = Annotated[str, Meta(min_length=1, max_length=100)]
Key = Annotated[str, Meta(min_length=1, max_length=200)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Moment = Annotated[datetime, Meta(tz=True)]


class Refused(ValueError):
    """Why a line, or a part of it, can't be imported."""


class AccountLine(msgspec.Struct, frozen=True):
    handle: Name
    display_name: Name
    joined_at: date
    languages: Languages = ()


class CommentLine(msgspec.Struct, frozen=True):
    id: Key
    author: Name
    language: Language
    body_markdown: CommentText
    created_at: Moment
    parent: Key | None = None
    up: Count = 0
    down: Count = 0


class ThreadLine(msgspec.Struct, frozen=True):
    """Comments are decoded one by one: a bad one must not take its thread along."""

    id: Key
    author: Name
    language: Language
    title: Title
    body_markdown: PostText
    created_at: Moment
    country: str | None = None
    visa_type: str | None = None
    group: str | None = None
    tags: Tags = ()
    up: Count = 0
    down: Count = 0
    accepted_comment: Key | None = None
    comments: Annotated[list[msgspec.Raw], Meta(max_length=MAX_COMMENTS)] = []


class Place(msgspec.Struct, frozen=True):
    """Where a thread goes: a country (and visa type) of the directory, or a group by its slug."""

    country_id: int
    visa_type: str | None
    group: str | None
    group_name: str = ""


class CommentDraft(msgspec.Struct, frozen=True):
    """`label` says in reports which one it is."""

    label: str
    line: CommentLine
    body_html: str


class ThreadDraft(msgspec.Struct, frozen=True):
    """A thread before its authors are known. `refusals`: comments that were left out so far."""

    id: UUID
    line: ThreadLine
    place: Place
    body_html: str
    comments: list[CommentDraft]
    refusals: list[str]

    @property
    def authors(self) -> set[str]:
        return {self.line.author, *(comment.line.author for comment in self.comments)}


_decode_account: Final = msgspec.json.Decoder(AccountLine).decode
_decode_thread: Final = msgspec.json.Decoder(ThreadLine).decode
_decode_comment: Final = msgspec.json.Decoder(CommentLine).decode


def parse_account(line: bytes) -> AccountToImport:
    """Raises Refused."""
    account = decoded(_decode_account, line)
    require_plain("handle", account.handle)
    require_plain("display_name", account.display_name)
    handle = _NO_HANDLE.sub("_", account.handle.lower())
    if _HANDLE.fullmatch(handle) is None:
        raise Refused(f"handle: {account.handle!r} can't be made one of 3-30 letters, digits or _")
    joined_at = datetime(
        account.joined_at.year, account.joined_at.month, account.joined_at.day, tzinfo=UTC
    )
    at_ms = _milliseconds("joined_at", joined_at)
    id = dump_id(NO_COUNTRY, at_ms, "account", account.handle)
    return AccountToImport(
        id=id,
        reference=account.handle,
        handle=handle,
        spare_handle=f"{handle[:21]}_{id.hex[-8:]}",
        display_name=account.display_name,
        languages=account.languages,
        created_at=joined_at,
    )


def parse_thread(line: bytes) -> ThreadDraft:
    """Raises Refused where the thread as a whole can't be taken."""
    thread = decoded(_decode_thread, line)
    place = _place(thread)
    for path, text in (
        ("id", thread.id), ("author", thread.author), ("title", thread.title),
        ("body_markdown", thread.body_markdown), *(("tags", tag) for tag in thread.tags),
    ):  # fmt: skip
        require_plain(path, text)
    at_ms = _milliseconds("created_at", thread.created_at)
    draft = ThreadDraft(
        dump_id(place.country_id, at_ms, "post", thread.id),
        thread,
        place,
        render(thread.body_markdown),
        [],
        [],
    )
    known: set[str] = set()
    for number, raw in enumerate(thread.comments):
        label = f"comments[{number}]"
        try:
            comment = decoded(_decode_comment, raw)
            label = f"{label} {comment.id!r}"
            for path, text in (
                ("id", comment.id),
                ("author", comment.author),
                ("body_markdown", comment.body_markdown),
            ):
                require_plain(path, text)
            _milliseconds("created_at", comment.created_at)
            if comment.id in known:
                raise Refused("id: there is another comment of this id before it")
        except Refused as error:
            draft.refusals.append(f"{label}: {error}")
            continue
        known.add(comment.id)
        draft.comments.append(CommentDraft(label, comment, render(comment.body_markdown)))
    return draft


def place_thread(
    draft: ThreadDraft, community_id: UUID, authors: Mapping[str, UUID]
) -> tuple[PostToImport, list[str]]:
    """The rows of a thread, and why parts of it were left out. Raises Refused."""
    line = draft.line
    if line.author not in authors:
        raise Refused(f"author: no imported account {line.author!r}")
    refusals = list(draft.refusals)
    comments, ids = _place_comments(draft, authors, refusals)
    accepted = None
    if line.accepted_comment is not None:
        accepted = ids.get(line.accepted_comment)
        if accepted is None:
            refusals.append(
                f"accepted_comment: no comment {line.accepted_comment!r}, the thread has none now"
            )
    post = PostToImport(
        id=draft.id,
        community_id=community_id,
        visa_type=draft.place.visa_type,
        author_id=authors[line.author],
        title=line.title,
        body_markdown=line.body_markdown,
        body_html=draft.body_html,
        language=line.language,
        tags=_tags(line),
        up=line.up,
        down=line.down,
        accepted_comment_id=accepted,
        reference=line.id,
        comments=comments,
    )
    return post, refusals


def _tags(line: ThreadLine) -> tuple[str, ...]:
    try:
        return stored_tags(line.tags)
    except ValueError as error:
        raise Refused(f"tags: {error}") from None


def _place_comments(
    draft: ThreadDraft, authors: Mapping[str, UUID], refusals: list[str]
) -> tuple[list[CommentToImport], dict[str, UUID]]:
    """Parents before their replies, whatever the order of the lines."""
    waiting: dict[str | None, list[CommentDraft]] = {}
    for comment in draft.comments:
        if comment.line.author in authors:
            waiting.setdefault(comment.line.parent, []).append(comment)
        else:
            refusals.append(f"{comment.label}: author: no imported account {comment.line.author!r}")
    placed: list[CommentToImport] = []
    ids: dict[str, UUID] = {}
    reached: list[tuple[CommentDraft, CommentToImport | None]] = [
        (comment, None) for comment in reversed(waiting.pop(None, []))
    ]
    while reached:
        comment, parent = reached.pop()
        row = _comment_row(draft, comment, parent, authors)
        placed.append(row)
        ids[comment.line.id] = row.id
        for reply in reversed(waiting.pop(comment.line.id, [])):
            reached.append((reply, row))
    for missing, replies in waiting.items():
        refusals += [
            f"{reply.label}: parent: {missing!r} is missing, refused or a reply to it"
            for reply in replies
        ]
    return placed, ids


def _comment_row(
    draft: ThreadDraft,
    comment: CommentDraft,
    parent: CommentToImport | None,
    authors: Mapping[str, UUID],
) -> CommentToImport:
    line = comment.line
    parent_id, depth = None, 0
    if parent is not None:
        parent_id = parent.parent_id if parent.depth >= MAX_DEPTH else parent.id
        depth = min(parent.depth + 1, MAX_DEPTH)
    at_ms = _milliseconds("created_at", line.created_at)
    return CommentToImport(
        id=dump_id(draft.place.country_id, at_ms, "comment", draft.line.id, line.id),
        parent_id=parent_id,
        depth=depth,
        author_id=authors[line.author],
        body_markdown=line.body_markdown,
        body_html=comment.body_html,
        language=line.language,
        up=line.up,
        down=line.down,
        reference=line.id,
    )


def _place(thread: ThreadLine) -> Place:
    if thread.country is not None:
        country = countries_by_alpha2().get(thread.country)
        if country is None:
            raise Refused(f"country: no ISO 3166-1 country {thread.country!r}")
        return Place(country.numeric, thread.visa_type, None)
    if thread.visa_type is not None:
        raise Refused("visa_type: there is none without a country")
    if thread.group is None:
        raise Refused("country: null, and no group is named")
    slug = _NO_SLUG.sub("-", thread.group.lower()).strip("-")
    if not 1 <= len(slug) <= 60:
        raise Refused(
            f"group: no slug of 1-60 letters and digits follows from {thread.group[:80]!r}"
        )
    return Place(NO_COUNTRY, None, slug, slug.replace("-", " ").capitalize())


def decoded(decode: Callable[[bytes | msgspec.Raw], T], line: bytes | msgspec.Raw) -> T:
    try:
        return decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(str(error)) from error


def require_plain(path: str, text: str) -> None:
    """Postgres stores neither of the two."""
    if "\0" in text:
        raise Refused(f"{path}: holds a NUL character")
    if _SURROGATE.search(text) is not None:
        raise Refused(f"{path}: holds half of a surrogate pair")


def _milliseconds(path: str, moment: datetime) -> int:
    at_ms = (moment - _EPOCH) // timedelta(milliseconds=1)
    if at_ms < 0:
        raise Refused(f"{path}: lies before 1970")
    return at_ms


def dump_id(country_id: int, at_ms: int, *names: str) -> UUID:
    """A UUIDv7 of storage/identity.py whose random bits are a hash."""
    digest = hashlib.blake2b(msgspec.json.encode(names), digest_size=8).digest()
    bits = int.from_bytes(digest) & _HASH_MASK
    return UUID(int=lowest_id_at(at_ms).int | country_id << 64 | bits)
