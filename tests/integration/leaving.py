"""Members who leave: with a life behind them, and their erasure under way."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from actors.erasing import AccountEraser
from actors.job_tools import JobTools
from actors.messages import Caller, CastVote, DeleteComment, DeletePost, EditComment, EditPost
from actors.notifying import Notifier
from actors.shard_messages import Publication
from config.settings import Settings
from storage import account_tasks, memberships
from storage.account_tasks import TaskJob
from storage.identity import new_id
from storage.postgres import in_transaction
from tests.integration.content import RECEIVED_NS, Content

# Nobody else writes these words.
SECRET = "quetzalcoatl"
FORMER = "popocatepetl"


class Life:
    """What a member leaves, and those it was shared with. Every text of theirs holds SECRET, every
    former one FORMER."""

    def __init__(self, me: Caller, ben: Caller, post: Any, comment: Any, of_ben: Any) -> None:
        self.me = me
        self.ben = ben
        self.post = post
        """Theirs, with two comments: one of their own, one of Ben's."""
        self.comment = comment
        self.of_ben = of_ben
        """Ben's post; he was answered there."""

    @property
    def id(self) -> UUID:
        assert self.me.account_id is not None
        return self.me.account_id


async def live(content: Content, handle: str = "anastasia") -> Life:
    me, ben = await content.member(handle, "moderator"), await content.member("ben")
    post = await content.post(me, title=f"Title {SECRET}", body=FORMER, key="k1", tags=(SECRET,))
    await _done(content, EditPost(me, UUID(post["id"]), None, f"Body {SECRET}", None, None, None,
                                  None, RECEIVED_NS))  # fmt: skip
    await content.pool.execute(
        "insert into poll (post_id, question, options, votes, multiple)"
        " values ($1, $2, '{a,b}', '{0,0}', false)",
        UUID(post["id"]),
        FORMER,
    )
    comment = await content.comment(me, post["id"], body=FORMER)
    comment_id = UUID(comment["id"])
    await _done(content, EditComment(me, comment_id, f"Comment {SECRET}", RECEIVED_NS))
    of_ben = await content.post(ben)
    answer = await content.comment(me, of_ben["id"], body=f"Answer {SECRET}")
    back = await content.comment(ben, post["id"], body="Thanks.", parent=comment["id"])
    told = [{"id": answer["id"]}, {"id": back["id"], "reply_to": comment["id"]}]
    notifier = Notifier(content.pool, lambda _: None)
    await notifier.run(msgspec.json.encode({"comments": told}))
    await _done(content, CastVote(me, "post", UUID(of_ben["id"]), 1))
    await _done(content, CastVote(ben, "comment", comment_id, 1))
    removed = await content.post(me, title=f"Removed {SECRET}", body=SECRET)
    await _done(content, DeletePost(me, UUID(removed["id"]), RECEIVED_NS))
    rude = await content.comment(ben, of_ben["id"], body="Rude.")
    await _done(content, DeleteComment(me, UUID(rude["id"]), RECEIVED_NS))
    account_id = me.account_id
    assert account_id is not None
    for community in ("de-student", "de"):
        await in_transaction(
            content.pool,
            lambda connection, slug=community: memberships.join(  # type: ignore[misc]
                connection, account_id, slug
            ),
        )
    await _keep(content, account_id, ben.account_id, UUID(of_ben["id"]))
    await content.pool.execute(
        "insert into session (id, account_id, token_hash, user_agent, expires_at)"
        " values ($1, $1, 'x', $2, now() + interval '1 day')",
        account_id,
        SECRET,
    )
    return Life(me, ben, post, comment, of_ben)


async def leave(content: Content, life: Life, *, erase_content: bool = False) -> UUID:
    """The end of the account; its task."""

    return await account_tasks.erase_handle(
        content.pool, life.me.handle, erase_content=erase_content
    )


async def erase(content: Content, task_id: UUID, data_dir: str) -> list[Publication]:
    published: list[Publication] = []
    tools = JobTools(content.pool, published.extend, Settings(data_dir=data_dir))
    await AccountEraser(tools).run(msgspec.json.encode(TaskJob(task_id)))
    return published


async def mentions(content: Content, word: str) -> set[str]:
    """Where in the database it stands: "table.column"."""
    found: set[str] = set()
    tables = await content.pool.fetch(
        "select oid::regclass::text as name from pg_class c"
        " where relkind in ('r', 'p') and not relispartition"
        " and relnamespace = 'public'::regnamespace"
    )
    for table in tables:
        rows = await content.pool.fetch(
            f"select distinct f.key from {table['name']} t, jsonb_each_text(to_jsonb(t)) f"
            " where f.value ilike '%' || $1 || '%'",
            word,
        )
        found |= {f"{table['name']}.{row['key']}" for row in rows}
    return found


async def _keep(content: Content, me: UUID, ben: UUID | None, post_id: UUID) -> None:
    """What members keep for themselves, and that Ben has muted this one."""
    for statement in (
        "insert into draft (account_id, id, kind, post_id, title, body_markdown)"
        f" values ($1, $2, 'comment', $2, '', '{SECRET}')",
        "insert into saved (account_id, target_id, is_post) values ($1, $2, true)",
        "insert into thread_follow (account_id, post_id, level) values ($1, $2, 'all')",
        "insert into community_follow (account_id, community_id, level) values ($1, $2, 'all')",
        "insert into community_mute (account_id, community_id) values ($1, $2)",
        "insert into read_position (account_id, post_id, comment_id) values ($1, $2, $2)",
        "insert into poll_vote (account_id, post_id, options) values ($1, $2, '{0}')",
    ):
        await content.pool.execute(f"{statement} on conflict do nothing", me, post_id)
    for statement in (
        "insert into invitation (account_id, community_id, invited_by) select $1, id, $2",
        "insert into invitation (account_id, community_id, invited_by) select $2, id, $1",
        "insert into community_log (community_id, actor_id, action, subject_id)"
        " select id, $1, 'banned', $2",
        "insert into community_log (community_id, actor_id, action, subject_id, detail)"
        f""" select id, $2, 'banned', $1, '{{"reason": "{SECRET}"}}'""",
    ):
        await content.pool.execute(f"{statement} from community where slug = 'fr'", me, ben)
    asked = "insert into join_request (account_id, community_id, message) select $1, id, $2"
    await content.pool.execute(f"{asked} from community where slug = 'fr'", me, SECRET)
    await content.pool.execute("update community set created_by = $1 where slug = 'fr'", me)
    await content.pool.execute(
        "insert into timeline (country_id, id, account_id, visa_type, consulate, consulate_key,"
        " events, status, submitted_on, former) values (276, $1, $2, 'student', $3, $3, '[]',"
        " 'pending', '2026-01-01', jsonb_build_array($4::text))",
        new_id(276),
        me,
        SECRET,
        FORMER,
    )
    await content.pool.execute(
        "insert into checklist_progress (account_id, checklist_id, item_id) values ($1, 'c', 'i')",
        me,
    )
    mutes = "insert into account_mute (account_id, muted_id) values ($1, $2), ($2, $1)"
    await content.pool.execute(mutes, me, ben)


async def _done(content: Content, request: Any) -> None:
    content.body((await content.ask(request))[0])
