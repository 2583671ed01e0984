"""What the jobs take away when its time is over, and what they leave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

import pytest

from actors.job_tools import JobTools
from actors.maintenance import Maintenance
from actors.messages import EditComment, EditPost
from config.settings import Content as ContentSettings
from config.settings import Settings, Streams
from storage import media
from tests.integration.content import RECEIVED_NS, Content, content_on
from tests.integration.leaving import FORMER, SECRET, mentions
from tests.integration.test_removals import read, removal, restoration

pytestmark = pytest.mark.integration

DELETED: Final = "update {} set deleted_at = now() - make_interval(days => $1)"


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as content:
        yield content


def maintenance(here: Content, **settings: Any) -> Maintenance:
    return Maintenance(JobTools(here.pool, lambda _: None, Settings(**settings)))


async def removed(content: Content, kind: str, days: int) -> str:
    """A post or comment of Ana's with a former text, removed by a moderator; its id."""
    ana, mod = await content.member("ana"), await content.member("mod", "moderator")
    post = await content.post(ana, title="Kept", tags=())
    if kind == "post":
        post = await content.post(ana, title=f"Title {SECRET}", body=FORMER, tags=(SECRET,))
        id: str = post["id"]
        edit: Any = EditPost(
            ana, UUID(id), None, f"Body {SECRET}", None, None, None, None, RECEIVED_NS
        )
        await content.pool.execute(
            "insert into poll (post_id, question, options, votes, multiple)"
            " values ($1, $2, '{a,b}', '{0,0}', false)",
            UUID(id),
            FORMER,
        )
    else:
        comment = await content.comment(ana, post["id"], body=FORMER)
        id = comment["id"]
        edit = EditComment(ana, UUID(id), f"Comment {SECRET}", RECEIVED_NS)
    content.body((await content.ask(edit))[0])
    assert ana.account_id is not None
    file = await media.create(content.pool, ana.account_id, "x.png", "image/png", 10, 10_000)
    await content.pool.execute(
        "insert into media_attachment (media_id, content_id, post_id, country_id)"
        " values ($1, $2, $3, id_country($2))",
        file, UUID(id), UUID(post["id"]),
    )  # fmt: skip
    await content.pool.execute("update media set unattached_since = null")
    content.body((await content.ask(removal(mod, kind, id, "off topic")))[0])
    await content.pool.execute(f"{DELETED.format(kind)} where id = $2", days, UUID(id))
    return id


@pytest.mark.parametrize("kind", ["post", "comment"])
async def test_the_text_of_what_was_removed_goes_for_good(content: Content, kind: str) -> None:
    id = await removed(content, kind, 31)
    mod = await content.member("mod2", "moderator")
    before = await read(content, kind, id)
    assert await mentions(content, SECRET) and await mentions(content, FORMER)
    await maintenance(content).purge_removed(b"")
    for word in (SECRET, FORMER):
        assert await mentions(content, word) == set()
    assert await content.pool.fetchval("select count(*) from media_attachment") == 0
    assert await content.pool.fetchval(
        "select unattached_since < now() - interval '23 hours' from media"
    )
    # The tombstone is what it was, and nobody brings it back.
    assert await read(content, kind, id) == before
    (refused,) = await content.ask(restoration(mod, kind, id))
    assert content.code(refused) == "not_permitted"
    assert "gone for good" in str(refused)


@pytest.mark.parametrize("kind", ["post", "comment"])
async def test_what_may_come_back_is_kept(content: Content, kind: str) -> None:
    id = await removed(content, kind, 29)
    mod = await content.member("mod2", "moderator")
    await maintenance(content).purge_removed(b"")
    assert await content.pool.fetchval("select count(*) from revision") == 1
    assert await content.pool.fetchval("select count(*) from media_attachment") == 1
    (reply,) = await content.ask(restoration(mod, kind, id))
    assert SECRET in content.body(reply)["body_markdown"]
    # A shorter time is the operator's choice; what stands again is not touched.
    await maintenance(content, content=ContentSettings(removed_days=1)).purge_removed(b"")
    assert SECRET in (await read(content, kind, id))["body_markdown"]


async def test_a_row_that_somebody_holds_waits_for_the_next_run(content: Content) -> None:
    id = await removed(content, "post", 31)
    async with content.pool.acquire() as rival, rival.transaction():
        await rival.execute("select from post where id = $1 for update", UUID(id))
        await maintenance(content).purge_removed(b"")
    assert await mentions(content, SECRET)
    await maintenance(content).purge_removed(b"")
    assert await mentions(content, SECRET) == set()


_NOTIFICATIONS: Final = (
    "insert into notification (id, account_id, kind, actor_id, post_id, created_at, read_at)"
    " select gen_random_uuid(), $1, 'reply', $1, gen_random_uuid(), now() - interval '300 days',"
    " now() - make_interval(days => d) from unnest($2::int[]) d"
)


async def test_records_are_kept_for_a_time(content: Content) -> None:
    ana = await content.member("ana")
    await content.pool.execute(_NOTIFICATIONS, ana.account_id, [None, 89, 91, 200])
    for table, column in (("join_request", "refused_at"), ("invitation", "declined_at")):
        further, value = ("message", "''") if table == "join_request" else ("invited_by", "$1")
        await content.pool.execute(
            f"insert into {table} (account_id, community_id, {further}, {column})"
            f" select $1, c.id, {value}, now() - make_interval(days => d)"
            " from (values ('de', 366), ('fr', 364), ('de-student', null)) v (slug, d)"
            " join community c on c.slug = v.slug",
            ana.account_id,
        )
    await content.pool.execute(
        "insert into community_log (community_id, action, created_at)"
        " select id, 'created', now() - make_interval(days => d)"
        " from community, unnest('{366,364,0}'::int[]) d where slug = 'de'"
    )

    async def left(**settings: Any) -> list[int]:
        await maintenance(content, **settings).forget_records(b"")
        return [
            await content.pool.fetchval(f"select count(*) from {table}")
            for table in ("notification", "join_request", "invitation", "community_log")
        ]

    # By its row an erasure finds the events that tell of a notification, as long as they are there.
    assert await left(streams=Streams(retention_days=100)) == [3, 2, 2, 2]
    assert await left() == [2, 2, 2, 2]
