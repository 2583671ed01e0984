"""Which community is meant, and how an account stands to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from config.errors import AppError
from storage.identity import country_of, parse_id
from storage.postgres import Connection

Visibility = Literal["public", "private"]
MembershipRole = Literal["member", "moderator", "admin", "banned"]
Joining = Literal["open", "request", "invitation"]
"""Who becomes a member: whoever wants to, whom a moderator lets in, whom one has invited."""
# Nobody walks into a private community, whatever its row says.
JOINING_COLUMN: Final = """case when c.visibility = 'private' and c.joining = 'open'
    then 'invitation' else c.joining end as joining"""

# Text that is no slug never reaches SQL (a NUL byte would make the statement fail).
_SLUG: Final = re.compile(r"[a-z0-9-]{1,100}", re.ASCII)


class Relation(msgspec.Struct, frozen=True, gc=False):
    """A community and one account's role in it: None for no member and for guests."""

    community_id: UUID
    visibility: Visibility
    role: MembershipRole | None

    @property
    def is_member(self) -> bool:
        return self.role is not None and self.role != "banned"

    def visible(self, site_role: str = "member") -> bool:
        """Whether the account may read the community: the rule of the SQL function `may_read`."""
        return self.visibility == "public" or self.is_member or site_role == "admin"


class Question(NamedTuple):
    """`id` names a community or a post; `account_id` None stands for a guest."""

    id: UUID
    account_id: UUID | None


_FIND: Final = """
select c.id, c.visibility, m.role
  from community c
  left join membership m on m.community_id = c.id and m.account_id = $2
 where """


async def find(connection: Connection, id_or_slug: str, account_id: UUID | None) -> Relation | None:
    """By the community's id or slug; None: no such community."""
    key = lookup_key(id_or_slug)
    if key is None:
        return None
    column, value = key
    row = await connection.fetchrow(_FIND + f"c.{column} = $1", value, account_id)
    return None if row is None else Relation(*row.values())


_MAY_READ: Final = """
select may_read(a.role, c.visibility, m.role)
  from community c
  left join account a on a.id = $2
  left join membership m on m.community_id = c.id and m.account_id = $2
 where c.id = $1"""


async def may_read(connection: Connection, community_id: UUID, account_id: UUID | None) -> bool:
    """Whoever may not read a community is not to be told that it exists. None: a guest."""
    return bool(await connection.fetchval(_MAY_READ, community_id, account_id))


def lookup_key(id_or_slug: str) -> tuple[str, UUID | str] | None:
    try:
        return "id", parse_id(id_or_slug)
    except ValueError:
        return ("slug", id_or_slug) if _SLUG.fullmatch(id_or_slug) else None


def not_found() -> AppError:
    return AppError("not_found", "There is no such community.")


_RELATIONS: Final = """
select q.place, c.id, c.visibility, m.role
  from unnest($1::uuid[], $2::uuid[]) with ordinality as q (community, account, place)
  join community c on c.id = q.community
  left join membership m on m.community_id = c.id and m.account_id = q.account"""

_RELATIONS_OF_POSTS: Final = """
select q.place, c.id, c.visibility, m.role
  from unnest($1::smallint[], $2::uuid[], $3::uuid[])
       with ordinality as q (country, post, account, place)
  join post p on p.country_id = q.country and p.id = q.post
  join community c on c.id = p.community_id
  left join membership m on m.community_id = c.id and m.account_id = q.account"""


async def relations(connection: Connection, questions: Sequence[Question]) -> list[Relation | None]:
    """One answer per question about a community, in order; None: no such community."""
    answers: list[Relation | None] = [None] * len(questions)
    if questions:
        ids = [question.id for question in questions]
        accounts = [question.account_id for question in questions]
        for row in await connection.fetch(_RELATIONS, ids, accounts):
            place, *columns = row.values()
            answers[place - 1] = Relation(*columns)
    return answers


async def relations_of_posts(
    connection: Connection, questions: Sequence[Question]
) -> list[Relation | None]:
    """The same about the communities of posts, deleted ones included; None: no such post."""
    answers: list[Relation | None] = [None] * len(questions)
    if questions:
        ids = [question.id for question in questions]
        countries = [country_of(id) for id in ids]
        accounts = [question.account_id for question in questions]
        for row in await connection.fetch(_RELATIONS_OF_POSTS, countries, ids, accounts):
            place, *columns = row.values()
            answers[place - 1] = Relation(*columns)
    return answers
