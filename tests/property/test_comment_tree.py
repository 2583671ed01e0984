from __future__ import annotations

from collections import Counter
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from actors.comment_tree import SORTS, CommentNode, Placed, Position, Sort, comment_page
from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.ranking import best_rank

Tree = list[CommentNode]
sorts = st.sampled_from(SORTS)
limits = st.integers(1, 12)


@st.composite
def trees(draw: st.DrawFn, max_size: int = 30) -> Tree:
    """Ids grow with time, as comments' do; votes are few, so that ties are many."""
    nodes: Tree = []
    for number in range(1, draw(st.integers(0, max_size)) + 1):
        parent = draw(st.sampled_from([None, *nodes])) if nodes else None
        up, down = draw(st.integers(0, 4)), draw(st.integers(0, 2))
        nodes.append(CommentNode(UUID(int=number), parent.id if parent else None, up, down))
    return draw(st.permutations(nodes))


def reference(nodes: Tree, sort: Sort, root: UUID | None, depth: int) -> list[tuple[UUID, int]]:
    """The listing by its definition: recursive, the whole tree at once."""
    siblings = [node for node in nodes if node.parent_id == root]
    if sort == "best":
        siblings.sort(key=lambda node: (-best_rank(node.up, node.down), node.id))
    else:
        siblings.sort(key=lambda node: node.id, reverse=sort == "new")
    listing: list[tuple[UUID, int]] = []
    for node in siblings:
        listing += [(node.id, depth), *reference(nodes, sort, node.id, depth + 1)]
    return listing


def ancestors(nodes: Tree, id: UUID) -> list[UUID]:
    parents = {node.id: node.parent_id for node in nodes}
    chain: list[UUID] = []
    parent = parents[id]
    while parent is not None:
        chain.append(parent)
        parent = parents[parent]
    return chain


def over_the_wire(position: Position | None) -> Position | None:
    if position is None:
        return None
    text = encode_cursor(CursorKind.COMMENTS, "", position)
    return decode_cursor(CursorKind.COMMENTS, "", text, Position)


def turn_pages(nodes: Tree, sort: Sort, limit: int, root: UUID | None) -> list[list[Placed]]:
    pages = []
    after: Position | None = None
    while True:
        page = comment_page(nodes, sort, limit=limit, parent_id=root, after=after)
        pages.append(page.items)
        after = over_the_wire(page.next)
        if after is None:
            return pages
        assert len(page.items) == limit


@given(trees(), sorts, limits, st.data())
def test_paging_lists_the_tree_once_and_in_order(
    nodes: Tree, sort: Sort, limit: int, data: st.DataObject
) -> None:
    root = data.draw(st.sampled_from([None, *(node.id for node in nodes)]))
    depth = 0 if root is None else len(ancestors(nodes, root)) + 1
    pages = turn_pages(nodes, sort, limit, root)
    listed = [(item.id, item.depth) for page in pages for item in page]
    assert listed == reference(nodes, sort, root, depth)


@given(trees(), sorts, limits)
def test_more_children_are_the_descendants_after_the_end_of_the_page(
    nodes: Tree, sort: Sort, limit: int
) -> None:
    pages = turn_pages(nodes, sort, limit, None)
    for number, page in enumerate(pages):
        later = Counter(
            ancestor
            for following in pages[number + 1 :]
            for item in following
            for ancestor in ancestors(nodes, item.id)
        )
        for item in page:
            assert item.more_children == later[item.id]


@given(trees(), sorts, limits, st.data())
def test_what_stands_still_is_neither_skipped_nor_repeated(
    nodes: Tree, sort: Sort, limit: int, data: st.DataObject
) -> None:
    """Votes fall and comments arrive between all pages."""
    original = list(nodes)
    moved: set[UUID] = set()
    listed: Counter[UUID] = Counter()
    after: Position | None = None
    for _ in range(10 * len(original) + 1):
        page = comment_page(nodes, sort, limit=limit, after=after)
        listed.update(item.id for item in page.items)
        after = over_the_wire(page.next)
        if after is None:
            break
        for place in data.draw(st.lists(st.integers(0, len(original) - 1), max_size=3)):
            moved.add(nodes[place].id)
            nodes[place] = msgspec.structs.replace(
                nodes[place], up=data.draw(st.integers(0, 4)), down=data.draw(st.integers(0, 4))
            )
        if data.draw(st.booleans()):
            parent = data.draw(st.sampled_from([None, *nodes]))
            fresh = UUID(int=1000 + len(nodes))
            nodes.append(CommentNode(fresh, parent.id if parent else None, 4, 0))
    assert set(listed) <= {node.id for node in original}
    if sort != "best":
        moved.clear()  # votes move nothing there
    for node in original:
        if not moved & {node.id, *ancestors(original, node.id)}:
            assert listed[node.id] == 1
