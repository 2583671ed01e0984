"""Which comments of a post stand on one page, in which order, and where the next page begins.

The listing is the whole tree depth-first, siblings by the sort; a page is the next `limit`
comments of it. Following the cursor alone yields every comment once. `more_children` of a comment
is the number of its descendants that come after the page's end: only the comments on the path to
the cut have any. A reader gets them by the cursor, in turn, or by `parent_id`, out of turn.
(Folding big branches would fit more branches on a page, but the cursor would then pass over
comments, which the contract forbids.)

A cursor is stateless: the path from the listing's root to the last comment, each step with the
rank it had when it was listed. The next page takes what now ranks below those frozen ranks, so a
vote in between moves only the comments voted on (and what hangs below them); all others are
neither skipped nor repeated. Comments newer than the first page are left out of the later ones,
they reach the reader by the thread's stream.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias
from uuid import UUID

import msgspec

from actors.ranking import best_rank
from config.errors import AppError

Sort: TypeAlias = Literal["best", "new", "old"]
SORTS: Final[tuple[Sort, ...]] = ("best", "new", "old")
MAX_PAGE: Final = 500


class CommentNode(msgspec.Struct, frozen=True, gc=False):
    """What ordering needs of a comment. `parent_id` None is the post itself."""

    id: UUID
    parent_id: UUID | None
    up: int
    down: int


class Placed(msgspec.Struct, frozen=True, gc=False):
    """`depth` counts from the post (0), also on a page under `parent_id`."""

    id: UUID
    depth: int
    more_children: int


class Step(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A comment on the way to a position, with its rank when it was listed (lower comes first)."""

    rank: float
    id: UUID


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: the payload of its cursor. Any value is safe to resume from."""

    newest_id: UUID  # the newest comment that the first page could see
    path: tuple[Step, ...]


class CommentPage(msgspec.Struct, frozen=True):
    items: list[Placed]
    next: Position | None


# (rank, order of ids, node): sorts without ever comparing nodes, since ids are unique.
_Entry: TypeAlias = tuple[float, int, CommentNode]
_Children: TypeAlias = dict[UUID | None, list[CommentNode]]


def comment_page(
    nodes: Sequence[CommentNode],
    sort: Sort,
    *,
    limit: int,
    parent_id: UUID | None = None,
    after: Position | None = None,
) -> CommentPage:
    """One page out of all comments of a post (`nodes`, in any order, ids unique).

    With `parent_id` the listing is that comment's descendants, without itself. A comment whose
    parent is missing stands at the top. Raises AppError `invalid` for a limit outside 1..500 and
    `not_found` for a `parent_id` that is no comment of the post. Time is linear in the nodes.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise AppError("invalid", errors=(("limit", f"not in 1..{MAX_PAGE}"),))
    children, base_depth = _index(nodes, parent_id)
    newest = None if after is None else after.newest_id.int
    steps: list[Step] = [] if after is None else list(after.path)
    # frames[k]: what is left of the siblings at level k, best last. steps[k]: the one last listed.
    frames = [
        _ordered(children.get(parent), sort, limit, newest, below=step)
        for parent, step in zip((parent_id, *(step.id for step in steps)), steps, strict=False)
    ]
    innermost = steps[-1].id if steps else parent_id
    frames.append(_ordered(children.get(innermost), sort, limit, newest, below=None))

    listed: list[tuple[UUID, int]] = []
    page_index = [-1] * len(steps)  # place of steps[k] on this page; -1: it stood on an earlier one
    while frames and len(listed) < limit:
        frame = frames[-1]
        if not frame:
            frames.pop()
            continue
        level = len(frames) - 1
        rank, _, node = frame.pop()
        del steps[level:], page_index[level:]
        steps.append(Step(rank, node.id))
        page_index.append(len(listed))
        listed.append((node.id, base_depth + level))
        replies = children.get(node.id)
        frames.append(_ordered(replies, sort, limit, newest, below=None) if replies else [])

    if not any(frames):
        return CommentPage([Placed(id, depth, 0) for id, depth in listed], None)
    left_out = _left_out(children, steps, page_index, len(listed), newest)
    items = [Placed(id, depth, left_out.get(id, 0)) for id, depth in listed]
    newest_id = max((n.id for n in nodes), key=_as_int) if after is None else after.newest_id
    return CommentPage(items, Position(newest_id, tuple(steps)))


def _as_int(id: UUID) -> int:
    return id.int


def _index(nodes: Sequence[CommentNode], parent_id: UUID | None) -> tuple[_Children, int]:
    """Children by parent (None: the top, orphans included) and the depth of the listing's root."""
    children: _Children = {}
    parents = {node.id: node.parent_id for node in nodes}
    for node in nodes:
        parent = node.parent_id if node.parent_id in parents else None
        siblings = children.get(parent)
        if siblings is None:
            children[parent] = [node]
        else:
            siblings.append(node)
    if parent_id is None:
        return children, 0
    if parent_id not in parents:
        raise AppError("not_found", "There is no such comment under this post.")
    depth = 0
    ancestor: UUID | None = parent_id
    # The bound ends a ring of parents: none is ever written, but a hang would be the worst answer.
    while ancestor in parents and depth <= len(parents):
        ancestor = parents[ancestor]
        depth += 1
    return children, depth


def _ordered(
    siblings: list[CommentNode] | None,
    sort: Sort,
    limit: int,
    newest: int | None,
    *,
    below: Step | None,
) -> list[_Entry]:
    """The siblings still to be listed, the first one last (frames are consumed from the end)."""
    if not siblings:
        return []
    entries: Iterable[_Entry]
    if sort == "best":
        entries = [(-best_rank(node.up, node.down), node.id.int, node) for node in siblings]
    elif sort == "old":
        entries = [(0.0, node.id.int, node) for node in siblings]
    else:
        entries = [(0.0, -node.id.int, node) for node in siblings]
    if newest is not None:
        entries = [entry for entry in entries if entry[2].id.int <= newest]
    if below is not None:
        passed = below.id.int
        frozen = (below.rank, -passed if sort == "new" else passed)
        # The step itself was listed, wherever votes have moved it since.
        entries = [entry for entry in entries if entry[:2] > frozen and entry[2].id.int != passed]
    if len(entries) > 4 * limit:  # a page needs limit of them, and one to know that more follow
        entries = heapq.nsmallest(limit + 1, entries)
        entries.reverse()
    else:
        entries.sort(reverse=True)
    return entries


def _left_out(
    children: _Children,
    steps: list[Step],
    page_index: list[int],
    listed: int,
    newest: int | None,
) -> dict[UUID, int]:
    """Descendants after the page's end, for the comments of the page on the path to the cut.

    All that was listed after such a comment is its descendant, since the cut lies below it.
    Consumes `children`.
    """
    left_out: dict[UUID, int] = {}
    inner: UUID | None = None
    inner_size = 0
    for step, index in zip(reversed(steps), reversed(page_index), strict=True):
        if index < 0:
            break
        size = 0
        for child in children.get(step.id, ()):
            if child.id == inner:
                size += 1 + inner_size
            elif newest is None or child.id.int <= newest:
                size += 1 + _descendants(children, child.id, newest)
        left_out[step.id] = size - (listed - 1 - index)
        inner, inner_size = step.id, size
    return left_out


def _descendants(children: _Children, root: UUID, newest: int | None) -> int:
    count = 0
    pending = [root]
    while pending:
        for child in children.pop(pending.pop(), ()):  # taken out, so a ring of parents ends
            if newest is None or child.id.int <= newest:
                count += 1
                pending.append(child.id)
    return count
