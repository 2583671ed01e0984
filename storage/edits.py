"""Changing posts and comments, one transaction each. A change that changes nothing, as that of a
batch which is sent again, writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from config.errors import AppError
from storage import attachments
from storage.attachments import Claim
from storage.comments import CommentRow
from storage.content_locks import lock_comment, lock_post, no_comment, no_post
from storage.content_log import Edited, append_to
from storage.identity import country_of
from storage.notices import EditedText, enqueue_edited
from storage.postgres import Connection, Pool, in_transaction_at
from storage.posts import PostRow
from storage.search.index_jobs import IndexJob, enqueue_index

# Pinned posts come before all others: more of them would be a page of their own.
MAX_PINNED: Final = 5


# ---------------------------------------------------------------- posts


class PostChanges(msgspec.Struct, frozen=True):
    """None leaves a field as it is. `language_of(title, body)` judges a new text: it counts where
    no language is given and the one that stands was judged as well."""

    title: str | None
    body_markdown: str | None
    body_html: str | None
    language: str | None
    tags: tuple[str, ...] | None
    locked: bool | None
    pinned: bool | None
    language_of: Callable[[str, str], str]
    media_ids: tuple[UUID, ...] = ()  # files that a new text shows

    @property
    def of_text(self) -> bool:
        return any(
            v is not None for v in (self.title, self.body_markdown, self.language, self.tags)
        )

    @property
    def of_state(self) -> bool:
        return self.locked is not None or self.pinned is not None

    def applied_to(self, row: PostRow) -> PostRow:
        """`row` itself where every value stands already."""
        fields: dict[str, Any] = {
            name: value
            for name in ("title", "body_markdown", "language", "locked", "pinned")
            if (value := getattr(self, name)) is not None
        }
        if self.tags is not None:
            fields["tags"] = list(self.tags)
        after = msgspec.structs.replace(row, **fields)
        if after == row:
            return row
        if after.body_markdown != row.body_markdown:
            after = msgspec.structs.replace(after, body_html=self.body_html)
        if self.language is None and _text(after)[:2] != _text(row)[:2]:
            was_judged = row.language == self.language_of(row.title, row.body_markdown)
            if was_judged:
                judged = self.language_of(after.title, after.body_markdown)
                after = msgspec.structs.replace(after, language=judged)
        return after


def _text(row: PostRow) -> tuple[str, str, str, list[str]]:
    """What is the author's, and what revisions are of."""
    return row.title, row.body_markdown, row.language, row.tags


async def edit_post(
    pool: Pool,
    account_id: UUID,
    post_id: UUID,
    changes: PostChanges,
    event: Callable[[PostRow], str],
) -> tuple[Edited, int]:
    """The text is the author's, lock and pin are the moderators'. `event` encodes the new row.

    Raises AppError not_found, not_permitted, locked, suspended, unauthenticated, and conflict where
    too many posts of the community are pinned.
    """

    async def work(connection: Connection) -> Edited:
        row, rights, streams = await lock_post(connection, account_id, post_id)
        if row.deleted:
            raise no_post()
        if changes.of_text and not rights.is_author:
            raise AppError("not_permitted", "Only the author may change the text.")
        if changes.of_state and not rights.moderates:
            raise AppError("not_permitted", "Only moderators may lock or pin.")
        rights.require_live()
        after = changes.applied_to(row)
        if after is row:
            return Edited(row)
        if after.pinned and not row.pinned:
            await _room_for_pin(connection, row)
        new_text = _text(after) != _text(row)
        if new_text:
            await connection.execute(
                "insert into revision (country_id, target_id, number, title, body_markdown,"
                " editor_id, replaced_at) values ($1, $2, $3, $4, $5, $6, clock_timestamp())",
                row.country_id, row.id, row.revision, row.title, row.body_markdown, account_id,
            )  # fmt: skip
        written = await connection.fetchrow(
            "update post set title = $3, body_markdown = $4, body_html = $5, language = $6,"
            " tags = $7, locked = $8, pinned = $9, revision = revision + $10::boolean::int,"
            " edited_at = case when $10 then clock_timestamp() else edited_at end"
            " where country_id = $1 and id = $2 returning revision, edited_at",
            row.country_id, row.id, after.title, after.body_markdown, after.body_html,
            after.language, after.tags, after.locked, after.pinned, new_text,
        )  # fmt: skip
        assert written is not None  # locked above
        after = msgspec.structs.replace(after, **dict(written))
        if after.body_markdown != row.body_markdown:
            claim = Claim(account_id, row.id, row.id, changes.media_ids)
            await attachments.replace(connection, claim, row.body_markdown)
        log = await append_to(connection, streams, row.id, event(after))
        if new_text and "@" in after.title + after.body_markdown:
            await enqueue_edited(connection, EditedText(row.id, True, row.revision))
        if new_text:
            await enqueue_index(connection, IndexJob(posts=[row.id]))
        return Edited(after, log)

    return await in_transaction_at(pool, work)


async def _room_for_pin(connection: Connection, row: PostRow) -> None:
    """By post_pinned. The lock on the community's stream lets one pin at a time count."""
    pinned = await connection.fetchval(
        "select count(*) from post"
        " where country_id = $1 and community_id = $2 and pinned and deleted_at is null",
        row.country_id,
        row.community_id,
    )
    if pinned >= MAX_PINNED:
        raise AppError("conflict", f"A community has at most {MAX_PINNED} pinned posts.")


# ---------------------------------------------------------------- accepted answer


async def accept_comment(
    pool: Pool,
    account_id: UUID,
    post_id: UUID,
    comment_id: UUID | None,
    event: Callable[[PostRow], str],
) -> tuple[Edited, int]:
    """By the post's author or a moderator; None takes it back. Raises as edit_post, and invalid for
    a comment that does not stand in this thread."""

    async def work(connection: Connection) -> Edited:
        row, rights, streams = await lock_post(connection, account_id, post_id)
        if row.deleted:
            raise no_post()
        if not (rights.is_author or rights.moderates):
            raise AppError("not_permitted", "Only the author or a moderator may accept an answer.")
        rights.require_live()
        if row.accepted_comment_id == comment_id:
            return Edited(row)
        # Removals lock the post before the comment: what stands here stands until the commit.
        if comment_id is not None and not await connection.fetchval(
            "select exists (select from comment"
            " where country_id = $1 and id = $2 and post_id = $3 and deleted_at is null)",
            row.country_id, comment_id, row.id,
        ):  # fmt: skip
            reason = "there is no such comment in this thread"
            raise AppError("invalid", f"comment_id: {reason}.", errors=(("comment_id", reason),))
        await connection.execute(
            "update post set accepted_comment_id = $3 where country_id = $1 and id = $2",
            row.country_id, row.id, comment_id,
        )  # fmt: skip
        after = msgspec.structs.replace(row, accepted_comment_id=comment_id)
        answers = [id for id in (row.accepted_comment_id, comment_id) if id is not None]
        await enqueue_index(connection, IndexJob(posts=[row.id], comments=answers))
        return Edited(after, await append_to(connection, streams, row.id, event(after)))

    return await in_transaction_at(pool, work)


# ---------------------------------------------------------------- comments


async def edit_comment(
    pool: Pool,
    account_id: UUID,
    comment_id: UUID,
    body_markdown: str,
    body_html: str,
    language: str,
    media_ids: tuple[UUID, ...],
    event: Callable[[CommentRow], str],
) -> tuple[Edited, int]:
    """Only by the author. `media_ids`: files that the text shows. Raises as edit_post does."""

    async def work(connection: Connection) -> Edited:
        locked = await lock_comment(connection, account_id, comment_id, with_post=False)
        row = locked.row
        if row.deleted:
            raise no_comment()
        if not locked.rights.is_author:
            raise AppError("not_permitted", "Only the author may change a comment.")
        locked.rights.require_live()
        if row.body_markdown == body_markdown:
            return Edited(row)
        country = country_of(comment_id)
        await connection.execute(
            "insert into revision (country_id, target_id, number, body_markdown, editor_id,"
            " replaced_at) values ($1, $2, $3, $4, $5, clock_timestamp())",
            country, comment_id, row.revision, row.body_markdown, account_id,
        )  # fmt: skip
        written = await connection.fetchrow(
            "update comment set body_markdown = $3, body_html = $4, language = $5,"
            " revision = revision + 1, edited_at = clock_timestamp()"
            " where country_id = $1 and id = $2"
            " returning body_markdown, body_html, language, revision, edited_at",
            country, comment_id, body_markdown, body_html, language,
        )  # fmt: skip
        assert written is not None  # locked above
        after = msgspec.structs.replace(row, **dict(written))
        claim = Claim(account_id, comment_id, row.post_id, media_ids)
        await attachments.replace(connection, claim, row.body_markdown)
        log = await append_to(connection, locked.streams, comment_id, event(after))
        if "@" in body_markdown:
            await enqueue_edited(connection, EditedText(comment_id, False, row.revision))
        await enqueue_index(connection, IndexJob(comments=[comment_id]))
        return Edited(after, log)

    return await in_transaction_at(pool, work)


# ---------------------------------------------------------------- former texts


class Revision(msgspec.Struct, frozen=True):
    number: int
    title: str | None
    body_markdown: str
    replaced_at: datetime


async def read_revisions(
    connection: Connection, target_id: UUID, before: int, limit: int
) -> list[Revision]:
    """The texts before each edit with a number below `before`, newest first."""
    rows = await connection.fetch(
        "select number, title, body_markdown, replaced_at from revision"
        " where country_id = $1 and target_id = $2 and number < $3 order by number desc limit $4",
        country_of(target_id),
        target_id,
        before,
        limit,
    )
    return [Revision(*row) for row in rows]
