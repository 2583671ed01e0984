"""Which comments of a thread stand in its pages, and where one of them hangs. Pure."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from actors.comment_tree import CommentNode

Node = tuple[UUID, UUID | None, int, int, bool]
"""(id, parent_id, up, down, deleted), as storage/comments.py reads them."""


def standing(nodes: list[Node]) -> list[CommentNode]:
    """All comments but deleted ones without replies (and what thereby has none)."""
    replies: dict[UUID | None, int] = {}
    for _, parent, _, _, _ in nodes:
        replies[parent] = replies.get(parent, 0) + 1
    parents = {id: parent for id, parent, _, _, _ in nodes}
    empty = [id for id, _, _, _, deleted in nodes if deleted and id not in replies]
    gone: set[UUID] = set()
    deleted_ids = {id for id, _, _, _, deleted in nodes if deleted}
    while empty:
        id = empty.pop()
        gone.add(id)
        parent = parents[id]
        if parent is not None:
            replies[parent] -= 1
            if replies[parent] == 0 and parent in deleted_ids:
                empty.append(parent)
    return [
        CommentNode(id, parent, up, down) for id, parent, up, down, _ in nodes if id not in gone
    ]


class Place(NamedTuple):
    """`ancestors` from the top down; `descendants` counts those that stand."""

    ancestors: list[UUID]
    descendants: int


def place_of(nodes: list[Node], id: UUID) -> Place:
    """Of a comment that is among the nodes, or was when it was read a moment before."""
    parents = {node[0]: node[1] for node in nodes}
    ancestors: list[UUID] = []
    parent = parents.get(id)
    # The bound ends a ring of parents: none is ever written, but a hang would be the worst answer.
    while parent is not None and len(ancestors) <= len(nodes):
        ancestors.append(parent)
        parent = parents.get(parent)
    ancestors.reverse()
    children: dict[UUID, list[UUID]] = {}
    for node in standing(nodes):
        if node.parent_id is not None:
            children.setdefault(node.parent_id, []).append(node.id)
    descendants, pending = 0, [id]
    while pending:
        below = children.pop(pending.pop(), [])
        descendants += len(below)
        pending += below
    return Place(ancestors, descendants)
