"""What the Feed deployment is asked: feeds and the directory."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from actors.messages import Caller, Read

FeedWindow = Literal["day", "week", "month", "all"]
FeedSort = Literal["hot", "new", "top"]


class ReadFeed(Read, frozen=True):
    """`languages` (BCP 47), empty: all. `personal`: without posts of members whom the caller muted,
    so that the page is the caller's alone. `tag`: in its stored form (actors/tags.py)."""

    caller: Caller
    community: str  # id or slug
    sort: FeedSort
    window: FeedWindow
    limit: int
    cursor: str | None
    languages: tuple[str, ...] = ()
    personal: bool = False
    tag: str | None = None


class ListTags(Read, frozen=True):
    caller: Caller
    community: str  # id or slug
    limit: int


class ReadHome(Read, frozen=True):
    """For a guest: the feed of all public communities."""

    caller: Caller
    sort: FeedSort
    window: FeedWindow
    limit: int
    cursor: str | None
    languages: tuple[str, ...] = ()


class ListCountries(Read, frozen=True):
    pass


class ListVisaTypes(Read, frozen=True):
    country: str | None  # alpha-2


class ListCommunities(Read, frozen=True):
    caller: Caller
    country: str | None  # alpha-2
    visa_type: str | None
    q: str | None
    joined: bool
    limit: int
    cursor: str | None


class ReadCommunity(Read, frozen=True):
    caller: Caller
    community: str  # id or slug


class ListGuides(Read, frozen=True):
    """`languages` (BCP 47), empty: all."""

    country: str | None  # alpha-2
    visa_type: str | None
    languages: tuple[str, ...]
    limit: int
    cursor: str | None


class ReadGuide(Read, frozen=True):
    guide_id: UUID


class ReadGuideHistory(Read, frozen=True):
    guide_id: UUID
    limit: int
    cursor: str | None


class ListSignals(Read, frozen=True):
    """`community` (id or slug) None: all. Scores below `least` are left out, of `kind` or, where it
    is None, the worst."""

    caller: Caller
    community: str | None
    kind: Literal["scam", "spam", "language", "off_topic"] | None
    least: float
    limit: int
    cursor: str | None


class ListSitemap(Read, frozen=True):
    """What is public, for search engines. `part`: "" lists the parts, `communities` or an alpha-2
    code (`groups` for no country) what is in one."""

    part: str


class ReadMember(Read, frozen=True):
    handle: str


class ListMemberPosts(Read, frozen=True):
    """Of public communities alone, newest first."""

    handle: str
    limit: int
    cursor: str | None


# The same for everyone, whoever asks.
ReferenceRead = (
    ListCountries
    | ListVisaTypes
    | ListGuides
    | ReadGuide
    | ReadGuideHistory
    | ListSitemap
    | ReadMember
    | ListMemberPosts
)
FeedRequest = (
    ReadFeed | ReadHome | ListTags | ListCommunities | ReadCommunity | ListSignals | ReferenceRead
)
