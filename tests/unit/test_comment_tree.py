from __future__ import annotations

from uuid import UUID

import pytest

from actors.comment_tree import CommentNode, CommentPage, Position, Sort, Step, comment_page
from config.errors import AppError


def uid(number: int) -> UUID:
    return UUID(int=number)


def node(number: int, parent: int | None = None, up: int = 0, down: int = 0) -> CommentNode:
    return CommentNode(uid(number), None if parent is None else uid(parent), up, down)


def shape(page: CommentPage) -> list[tuple[int, int, int]]:
    return [(item.id.int, item.depth, item.more_children) for item in page.items]


# 1 ── 3 ── 5      2 ── 4      6
TREE = [node(1, up=3), node(2, up=9), node(3, 1), node(4, 2), node(5, 3), node(6, down=1)]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("old", [(1, 0), (3, 1), (5, 2), (2, 0), (4, 1), (6, 0)]),
        ("new", [(6, 0), (2, 0), (4, 1), (1, 0), (3, 1), (5, 2)]),
        ("best", [(2, 0), (4, 1), (1, 0), (3, 1), (5, 2), (6, 0)]),
    ],
)
def test_depth_first_in_every_sort(sort: Sort, expected: list[tuple[int, int]]) -> None:
    page = comment_page(list(reversed(TREE)), sort, limit=500)
    assert [(number, depth) for number, depth, _ in shape(page)] == expected
    assert page.next is None


def test_equal_ranks_keep_the_order_of_ids() -> None:
    page = comment_page([node(3), node(1), node(2)], "best", limit=10)
    assert [item.id.int for item in page.items] == [1, 2, 3]


def test_more_children_counts_what_the_cut_left_out() -> None:
    nodes = [node(1), node(2, 1), node(3, 2), node(4, 2), node(5, 1), node(6), node(7, 6)]
    first = comment_page(nodes, "old", limit=3)
    assert shape(first) == [(1, 0, 2), (2, 1, 1), (3, 2, 0)]
    second = comment_page(nodes, "old", limit=3, after=first.next)
    assert shape(second) == [(4, 2, 0), (5, 1, 0), (6, 0, 1)]
    third = comment_page(nodes, "old", limit=3, after=second.next)
    assert shape(third) == [(7, 1, 0)]
    assert third.next is None


def test_under_a_parent_stand_its_descendants_at_their_true_depth() -> None:
    page = comment_page(TREE, "old", limit=10, parent_id=uid(1))
    assert shape(page) == [(3, 1, 0), (5, 2, 0)]
    page = comment_page(TREE, "old", limit=10, parent_id=uid(5))
    assert shape(page) == []
    assert page.next is None


def test_a_vote_between_pages_neither_repeats_the_branch_it_is_in_nor_loses_its_rest() -> None:
    nodes = [node(1, up=5), node(2, 1, up=2), node(3, 1, up=1), node(4, up=4), node(5, up=3)]
    first = comment_page(nodes, "best", limit=2)
    assert [item.id.int for item in first.items] == [1, 2]
    # 1 falls behind 5: its own place would now come again, and so would 2's.
    nodes[0] = node(1, up=5, down=50)
    second = comment_page(nodes, "best", limit=10, after=first.next)
    assert [item.id.int for item in second.items] == [3, 4, 5]


def test_comments_newer_than_the_first_page_are_left_to_the_stream() -> None:
    nodes = [node(1), node(2), node(3)]
    first = comment_page(nodes, "old", limit=1)
    nodes += [node(4), node(5, 2), node(6, 4)]
    second = comment_page(nodes, "old", limit=1, after=first.next)
    assert shape(second) == [(2, 0, 0)]
    third = comment_page(nodes, "old", limit=5, after=second.next)
    assert shape(third) == [(3, 0, 0)]
    assert third.next is None


def test_a_page_goes_on_where_its_last_comment_has_vanished() -> None:
    nodes = [node(1), node(2, 1), node(3, 1), node(4)]
    first = comment_page(nodes, "old", limit=2)
    del nodes[1]
    second = comment_page(nodes, "old", limit=5, after=first.next)
    assert [item.id.int for item in second.items] == [3, 4]


def test_orphans_stand_at_the_top() -> None:
    page = comment_page([node(1), node(3, 99), node(4, 3)], "old", limit=5)
    assert shape(page) == [(1, 0, 0), (3, 0, 0), (4, 1, 0)]


def test_a_ring_of_parents_ends() -> None:
    ring = [node(1, 3), node(2, 1), node(3, 2), node(4, 4), node(5)]
    assert shape(comment_page(ring, "old", limit=5)) == [(5, 0, 0)]
    assert len(comment_page(ring, "old", limit=5, parent_id=uid(1)).items) <= 5
    inside = Position(uid(9), (Step(0.0, uid(2)),))
    assert len(comment_page(ring, "best", limit=5, after=inside).items) <= 5


def test_a_chain_of_100_000_needs_no_recursion() -> None:
    chain = [node(1), *(node(number, number - 1) for number in range(2, 100_001))]
    page = comment_page(chain, "best", limit=500)
    assert shape(page)[0] == (1, 0, 100_000 - 500)
    assert shape(page)[-1] == (500, 499, 100_000 - 500)


def test_100_000_siblings_page_like_few() -> None:
    wide = [node(number, up=number % 7) for number in range(1, 100_001)]
    expected = sorted(wide, key=lambda n: (-n.up, n.id))
    page = comment_page(wide, "best", limit=500)
    assert [item.id for item in page.items] == [n.id for n in expected[:500]]
    page = comment_page(wide, "best", limit=500, after=page.next)
    assert [item.id for item in page.items] == [n.id for n in expected[500:1000]]


@pytest.mark.parametrize("limit", [0, -1, 501])
def test_limits_are_1_to_500(limit: int) -> None:
    with pytest.raises(AppError) as caught:
        comment_page(TREE, "old", limit=limit)
    assert caught.value.code == "invalid"


def test_an_unknown_parent_is_not_found() -> None:
    with pytest.raises(AppError) as caught:
        comment_page(TREE, "old", limit=1, parent_id=uid(99))
    assert caught.value.code == "not_found"


@pytest.mark.parametrize("rank", [float("nan"), float("inf"), float("-inf")])
def test_any_position_is_safe(rank: float) -> None:
    forged = Position(uid(2**128 - 1), tuple(Step(rank, uid(n)) for n in (1, 77, 3, 3)))
    for sort in ("best", "new", "old"):
        page = comment_page(TREE, sort, limit=3, after=forged)
        assert len(page.items) <= 3


def test_an_empty_post_has_an_empty_page() -> None:
    assert comment_page([], "best", limit=5) == CommentPage([], None)
