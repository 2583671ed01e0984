/** The comments of a thread as they stand now: what was read, and what has come since. Pure. */
import type { Comment } from "@/api/client";

export type CommentOrder = "best" | "new" | "old";
export type Score = Pick<Comment, "up" | "down" | "score">;

export type Since = {
  /** By id, in the order in which they came: new comments, and newer texts of those that were read. */
  comments: ReadonlyMap<string, Comment>;
  scores: ReadonlyMap<string, Score>;
  /** What was fetched below a comment whose replies the page had left out. */
  below: ReadonlyMap<string, readonly Comment[]>;
};

/**
 * Depth-first, each comment once. New replies stand after those that were there, and new comments at
 * the end (at the top where the newest come first), so that nothing that is read changes its place.
 * A new reply to what is not shown is left out: its page will bring it.
 */
export function commentsNow(
  read: readonly Comment[],
  since: Since,
  order: CommentOrder,
): Comment[] {
  const items: Comment[] = [];
  const seen = new Set<string>();
  for (const comment of read) {
    if (seen.has(comment.id)) continue;
    seen.add(comment.id);
    items.push(comment);
  }
  for (const [parent, fetched] of since.below) {
    const at = items.findIndex((item) => item.id === parent);
    const above = items[at];
    if (!above) continue;
    items[at] = { ...above, more_children: 0 };
    items.splice(at + 1, endOfBranch(items, at) - at - 1, ...fetched);
  }
  for (const comment of since.comments.values()) {
    const at = items.findIndex((item) => item.id === comment.id);
    const known = items[at];
    if (known) items[at] = { ...comment, more_children: known.more_children };
    else if (comment.deleted) continue;
    else if (comment.parent_id === null) {
      if (order === "new") items.unshift(comment);
      else items.push(comment);
    } else {
      const parent = items.findIndex((item) => item.id === comment.parent_id);
      if (parent >= 0) items.splice(endOfBranch(items, parent), 0, comment);
    }
  }
  return items.map((item) => {
    const score = since.scores.get(item.id);
    return score ? { ...item, ...score } : item;
  });
}

/** Without what stands below a folded comment. */
export function unfolded(items: readonly Comment[], folded: ReadonlySet<string>): Comment[] {
  const shown: Comment[] = [];
  let hiddenBelow = Number.POSITIVE_INFINITY;
  for (const item of items) {
    if (item.depth > hiddenBelow) continue;
    hiddenBelow = folded.has(item.id) ? item.depth : Number.POSITIVE_INFINITY;
    shown.push(item);
  }
  return shown;
}

/** How many stand below it, those included that are not loaded. */
export function countBelow(items: readonly Comment[], at: number): number {
  let count = 0;
  for (let next = at; next < endOfBranch(items, at); next += 1)
    count += (next === at ? 0 : 1) + (items[next]?.more_children ?? 0);
  return count;
}

function endOfBranch(items: readonly Comment[], at: number): number {
  const depth = items[at]?.depth ?? 0;
  let end = at + 1;
  while (end < items.length && (items[end]?.depth ?? 0) > depth) end += 1;
  return end;
}
