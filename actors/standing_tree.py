"""Which comments of a thread stand in its pages, and where one of them hangs. Pure."""

from __future__ import annotations

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


def standing_below(branch: list[Node]) -> int:
    """How many stand below the first comment of a branch; a comment comes after its parent."""
    return sum(node.id != branch[0][0] for node in standing(branch))
