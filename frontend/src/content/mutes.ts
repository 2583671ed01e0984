import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { answer, api } from "@/api/client";
import { useSession } from "@/session/session";
import { refuse } from "@/ui/refuse";

const AT_ONCE = 100;

/** The ids of all whom the reader has muted; the server keeps a thousand at most. */
const mutedMembers = (reader: string) =>
  queryOptions({
    queryKey: ["mutes", "accounts", reader],
    queryFn: async () => {
      const ids: string[] = [];
      let cursor: string | null = null;
      do {
        const query: { limit: number; cursor?: string } = { limit: AT_ONCE };
        if (cursor) query.cursor = cursor;
        const page = await answer(api.GET("/api/v1/me/mutes/accounts", { params: { query } }));
        ids.push(...page.items.map((item) => item.id));
        cursor = page.next_cursor;
      } while (cursor);
      return ids;
    },
  });

/** Whether the reader has muted a member, and how to change it. `isMuted` is undefined until it is known. */
export function useMuted(member: { id: string; handle: string }, onDone: (muted: boolean) => void) {
  const queries = useQueryClient();
  const session = useSession();
  const list = mutedMembers(session.account?.id ?? "");
  const found = useQuery({ ...list, enabled: session.status === "member" });
  const change = useMutation({
    mutationFn: async (muted: boolean) => {
      const params = { path: { account: member.handle } };
      const path = "/api/v1/me/mutes/accounts/{account}";
      await answer<unknown>(muted ? api.PUT(path, { params }) : api.DELETE(path, { params }));
      return muted;
    },
    onSuccess: async (muted) => {
      await queries.invalidateQueries({ queryKey: list.queryKey });
      // What it leaves out is another selection.
      await queries.invalidateQueries({ queryKey: ["feed"] });
      onDone(muted);
    },
    onError: refuse,
  });
  return {
    isMuted: found.data?.includes(member.id),
    isBusy: change.isPending,
    change: change.mutate,
  };
}
