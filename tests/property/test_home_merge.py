"""The diversity rule against a model of both sources: nothing is skipped, nothing comes twice, and
the rule holds as long as others have candidates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import NamedTuple
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.feed_cursors import HomeCursor
from actors.home_merge import (
    AUTHOR_POSTS,
    MAX_DEFERRED,
    MAX_HELD,
    Carried,
    community_posts,
    merge,
    needed,
)
from storage.feed_keys import HIGHEST, HIGHEST_ID, LOWEST_ID, Candidate, Ranked

TOP = Carried((HIGHEST, HIGHEST_ID))


def source(
    posts: Sequence[Candidate], carried: Carried, limit: int, *, joined: bool
) -> list[Candidate]:
    """What storage/home_feed.py answers: `joined` cuts each community's list, and all lists where
    the first one begins of which no more is read; else the list of all that are not held is cut."""
    each = needed(limit)
    bounds = {community: (rank, id) for community, rank, id in carried.held}
    deferred = [post for post in posts if post.id in carried.deferred]
    rest = [
        post
        for post in posts
        if post.id not in carried.deferred
        and post.key < bounds.get(post.community_id, carried.below)
    ]
    counts: Counter[UUID | None] = Counter()
    found: list[Candidate] = []
    known: Ranked | None = None
    heads: dict[UUID, Ranked] = {}
    for post in rest:
        if post.community_id not in bounds:
            heads.setdefault(post.community_id, post.key)
    if joined and len(heads) > each:
        cut = list(heads.values())[each]
        rest = [post for post in rest if post.key > cut]
    for post in rest:
        of_all = not joined and post.community_id not in bounds
        counts[None if of_all else post.community_id] += 1
        if counts[None if of_all else post.community_id] <= (4 * each if of_all else each):
            found.append(post)
            if of_all and counts[None] == 4 * each:
                known = post.key
    return sorted(
        [*deferred, *(p for p in found if known is None or p.key >= known)],
        key=lambda post: post.key,
        reverse=True,
    )


class Feed(NamedTuple):
    """A recipe: a few communities and authors, so that the rule has something to do."""

    communities: int
    authors: int
    size: int
    skew: int
    seed: int

    def posts(self) -> list[Candidate]:
        """Highest first."""
        random = Random(self.seed)
        return sorted(
            (
                Candidate(
                    float(random.randrange(50)),
                    UUID(int=number),
                    UUID(int=random.randrange(self.authors)),
                    UUID(int=int(self.communities * random.random() ** self.skew)),
                )
                for number in range(1, self.size + 1)
            ),
            key=lambda post: post.key,
            reverse=True,
        )


feeds = st.builds(
    Feed,
    communities=st.integers(1, 60),
    authors=st.integers(1, 400),
    size=st.integers(0, 250),
    skew=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 2**32),
)


@settings(max_examples=60)
@given(feeds, st.integers(1, 40), st.booleans())
def test_a_walk_shows_every_post_once(feed: Feed, limit: int, joined: bool) -> None:
    posts = feed.posts()
    carried: Carried | None = TOP
    seen: list[UUID] = []
    while carried is not None:
        merged = merge(source(posts, carried, limit, joined=joined), carried, limit)
        assert merged.posts == sorted(merged.posts, key=lambda post: post.key, reverse=True)
        seen += [post.id for post in merged.posts]
        carried = merged.carried
        if carried is not None:
            assert len(merged.posts) == limit
            assert len(carried.held) <= MAX_HELD
            assert len(carried.deferred) <= MAX_DEFERRED
            again = msgspec.msgpack.encode(HomeCursor(carried, LOWEST_ID))
            assert msgspec.msgpack.decode(again, type=HomeCursor).carried == carried
    assert len(seen) == len(set(seen))
    assert set(seen) == {post.id for post in posts}


@settings(max_examples=60)
@given(feeds, st.integers(1, 40))
def test_no_community_has_more_than_its_part_while_others_have_posts(
    feed: Feed, limit: int
) -> None:
    """Each post by an author of its own; fewer communities than can be held."""
    posts = [
        Candidate(post.rank, post.id, post.id, UUID(int=post.community_id.int % MAX_HELD))
        for post in feed.posts()
    ]
    left = Counter(post.community_id for post in posts)
    part = community_posts(limit)
    carried: Carried | None = TOP
    while carried is not None:
        merged = merge(source(posts, carried, limit, joined=True), carried, limit)
        shown = Counter(post.community_id for post in merged.posts)
        for community, count in shown.items():
            others = sum(min(part, n) for other, n in left.items() if other != community)
            assert count <= part or others + part < limit
        left -= shown
        carried = merged.carried


@settings(max_examples=60)
@given(feeds, st.integers(8, 40))
def test_no_author_has_more_than_three_while_others_have_posts(feed: Feed, limit: int) -> None:
    """On the first page, each post in a community of its own, as far as deferring goes."""
    posts = [Candidate(post.rank, post.id, post.author_id, post.id) for post in feed.posts()]
    merged = merge(source(posts, TOP, limit, joined=True), TOP, limit)
    passed_over = merged.carried.deferred if merged.carried is not None else ()
    of_author = Counter(post.author_id for post in merged.posts)
    everybody = Counter(post.author_id for post in posts)
    others = sum(min(AUTHOR_POSTS, count) for count in everybody.values())
    if max(of_author.values(), default=0) > AUTHOR_POSTS:
        assert others < limit or len(passed_over) == MAX_DEFERRED


def test_what_was_deleted_is_carried_no_further() -> None:
    gone = Carried((5.0, UUID(int=9)), (), (UUID(int=77),))
    posts = [Candidate(1.0, UUID(int=n), UUID(int=n), UUID(int=n)) for n in (4, 3, 2)]
    merged = merge(posts, gone, 2)
    assert [post.id.int for post in merged.posts] == [4, 3]
    assert merged.carried == Carried((1.0, UUID(int=3)))
