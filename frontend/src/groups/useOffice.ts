import { useQuery } from "@tanstack/react-query";
import { answer, api } from "@/api/client";
import { useSession } from "@/session/session";

const MOST = 100;

/** What the reader may do in a community beyond what members may. */
export function useOffice(community: string): "none" | "moderator" | "admin" {
  const session = useSession();
  const { data } = useQuery({
    queryKey: ["office", community],
    queryFn: async () => {
      const read = (role: "moderator" | "admin") =>
        answer(
          api.GET("/api/v1/communities/{community}/members", {
            params: { path: { community }, query: { role, limit: MOST } },
          }),
        );
      const [admins, moderators] = await Promise.all([read("admin"), read("moderator")]);
      return {
        admins: admins.items.map((member) => member.account.id),
        moderators: moderators.items.map((member) => member.account.id),
      };
    },
    enabled: session.status === "member",
  });
  const id = session.account?.id;
  if (id === undefined || !data) return "none";
  if (data.admins.includes(id)) return "admin";
  return data.moderators.includes(id) ? "moderator" : "none";
}
