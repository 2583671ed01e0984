"""The diversity rule of home feeds: a page mixes authors and communities. Pure.

While others have candidates, a page holds at most `AUTHOR_POSTS` posts of one author and 40 % of
one community. What the rule passes over comes on later pages, first in its order, and the cursor
carries it in two bounded forms:

- a community over its part is **held** back: it keeps a bound of its own, above that of all others.
- a post of an author who has had theirs is **deferred** by its id; where those are too many, its
  whole community is held back instead.

Where both are full the rule gives way, so no cursor grows and no post is ever lost: a post that
stands still is on exactly one page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Meta

from storage.feed_keys import Candidate, Ranked

AUTHOR_POSTS: Final = 3
MAX_HELD: Final = 16
MAX_DEFERRED: Final = 24


class Carried(msgspec.Struct, frozen=True, array_like=True):
    """Everything from the top of the feed down to `below` was shown, but for posts in `deferred`
    and for communities in `held`, which were shown down to bounds of their own."""

    below: Ranked
    held: Annotated[tuple[tuple[UUID, float, UUID], ...], Meta(max_length=MAX_HELD)] = ()
    deferred: Annotated[tuple[UUID, ...], Meta(max_length=MAX_DEFERRED)] = ()


class Merged(NamedTuple):
    """`carried` None: nothing is left."""

    posts: list[Candidate]
    carried: Carried | None


def needed(limit: int) -> int:
    """How many candidates of each community a page of `limit` asks for. Of so many, not all can be
    shown or deferred at once: a list cut there is never used up, except by a community that is
    held and keeps its own bound."""
    return limit + MAX_DEFERRED + 1


def community_posts(limit: int) -> int:
    return max(1, limit * 2 // 5)


def merge(candidates: Sequence[Candidate], carried: Carried, limit: int) -> Merged:
    """One page. `candidates`, highest first: the deferred ones that are still there, of held
    communities what lies below their bounds, of all others what lies below `carried.below`. A list
    may be cut after `needed` candidates of each community, or of all that are not held."""
    there = {post.id for post in candidates}
    page = _Page(carried, [id for id in carried.deferred if id in there], limit)
    for candidate in candidates:
        if len(page.taken) == limit:
            break
        page.consider(candidate)
    page.give_way()
    posts = sorted(page.taken, key=lambda post: post.key, reverse=True)
    return Merged(posts, page.carried() if len(candidates) > len(posts) else None)


class _Page:
    def __init__(self, before: Carried, deferred: Sequence[UUID], limit: int) -> None:
        self.taken: list[Candidate] = []
        self._below = before.below
        self._limit = limit
        self._part = community_posts(limit)
        self._of_author: Counter[UUID] = Counter()
        self._of_community: Counter[UUID] = Counter()
        self._passed: list[Candidate] = []
        self._deferred = dict.fromkeys(deferred)
        self._held: dict[UUID, Ranked] = {c: (rank, id) for c, rank, id in before.held}
        # How far each community was gone through on this page.
        self._edges: dict[UUID, Ranked] = {}
        self._stopped: set[UUID] = set()
        self._last: Ranked | None = None

    def consider(self, post: Candidate) -> None:
        if post.id in self._deferred:
            if self._has_room(post):
                self._take(post)
            else:
                self._passed.append(post)
            return
        self._last = post.key
        over_part = self._of_community[post.community_id] >= self._part
        if post.community_id in self._stopped or (over_part and self._hold(post)):
            self._passed.append(post)
        elif self._of_author[post.author_id] < AUTHOR_POSTS:
            self._take(post)
        elif self._defer(post) or self._hold(post):
            self._passed.append(post)
        else:
            self._take(post)

    def give_way(self) -> None:
        """Nobody else has a candidate: what was passed over fills the page, in its order."""
        room = self._limit - len(self.taken)
        for post in self._passed[:room]:
            self._take(post)
        del self._passed[:room]

    def carried(self) -> Carried:
        behind = {post.community_id for post in self._passed if post.id not in self._deferred}
        below = self._below
        if self._last is None or self._last >= below:
            behind |= self._held.keys()  # all of this page stood above what the others have
        else:
            below = self._last
        held = ((c, *self._edges.get(c, bound)) for c, bound in self._held.items() if c in behind)
        return Carried(below, tuple(held), tuple(self._deferred))

    def _has_room(self, post: Candidate) -> bool:
        return (
            self._of_community[post.community_id] < self._part
            and self._of_author[post.author_id] < AUTHOR_POSTS
        )

    def _take(self, post: Candidate) -> None:
        if post.id in self._deferred:
            del self._deferred[post.id]
        else:
            self._edges[post.community_id] = post.key
        self._of_author[post.author_id] += 1
        self._of_community[post.community_id] += 1
        self.taken.append(post)

    def _hold(self, post: Candidate) -> bool:
        """From here on its community waits for a later page."""
        if post.community_id not in self._held:
            if len(self._held) >= MAX_HELD:
                return False
            self._held[post.community_id] = self._below
        self._stopped.add(post.community_id)
        return True

    def _defer(self, post: Candidate) -> bool:
        if len(self._deferred) >= MAX_DEFERRED:
            return False
        self._deferred[post.id] = None
        self._edges[post.community_id] = post.key
        return True
