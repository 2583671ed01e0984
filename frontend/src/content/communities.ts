import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { answer, api, type Community } from "@/api/client";
import { useSession } from "@/session/session";

/** One page is enough for a menu; the whole list is on the page of communities. */
const JOINED_SHOWN = 100;

export const joinedCommunities = () =>
  queryOptions({
    queryKey: ["communities", "joined"],
    queryFn: async ({ client }) => {
      const query = { joined: true, limit: JOINED_SHOWN };
      const page = await answer(api.GET("/api/v1/communities", { params: { query } }));
      // Their posts in the home feed need their names at once.
      for (const item of page.items) client.setQueryData(communityBySlug(item.id).queryKey, item);
      return page;
    },
    staleTime: 5 * 60_000,
  });

export const communityBySlug = (community: string) =>
  queryOptions({
    queryKey: ["community", community],
    queryFn: () =>
      answer(api.GET("/api/v1/communities/{community}", { params: { path: { community } } })),
    staleTime: 60_000,
  });

export const countries = () =>
  queryOptions({
    queryKey: ["countries"],
    queryFn: () => answer(api.GET("/api/v1/countries")),
    staleTime: Number.POSITIVE_INFINITY,
  });

/** The communities of a country: its own and one for each visa type. */
export const communitiesOfCountry = (country: string) =>
  queryOptions({
    queryKey: ["communities", "country", country],
    queryFn: () =>
      answer(api.GET("/api/v1/communities", { params: { query: { country, limit: 100 } } })),
    staleTime: 5 * 60_000,
  });

export const visaTypes = (country: string) =>
  queryOptions({
    queryKey: ["visa-types", country],
    queryFn: () => answer(api.GET("/api/v1/visa-types", { params: { query: { country } } })),
    staleTime: Number.POSITIVE_INFINITY,
  });

/** Whether the reader is a member, and how to become one or leave; shown before the server answers. */
export function useMembership(community: Community) {
  const queries = useQueryClient();
  const session = useSession();
  const joined = useQuery({ ...joinedCommunities(), enabled: session.status === "member" });
  const isJoined = joined.data?.items.some((item) => item.id === community.id) ?? false;
  const key = joinedCommunities().queryKey;
  const change = useMutation({
    mutationFn: async (join: boolean) => {
      const params = { path: { community: community.id } };
      // Where members are let in one by one: true once the other side has agreed already.
      if (join && community.joining === "request")
        return (
          (await answer(api.PUT("/api/v1/communities/{community}/join-request", { params })))
            .role !== null
        );
      await (join
        ? answer(api.PUT("/api/v1/communities/{community}/membership", { params }))
        : answer(api.DELETE("/api/v1/communities/{community}/membership", { params })));
      return join;
    },
    onMutate: async (join) => {
      await queries.cancelQueries({ queryKey: key });
      const before = queries.getQueryData(key);
      // Asking is not being let in.
      if (join && community.joining === "request") return before;
      const others = before?.items.filter((item) => item.id !== community.id) ?? [];
      queries.setQueryData(key, {
        items: join ? [...others, community] : others,
        next_cursor: null,
      });
      return before;
    },
    onError: (_error, _join, before) => queries.setQueryData(key, before),
    onSettled: () => queries.invalidateQueries({ queryKey: key }),
  });
  const isAsked = !isJoined && change.isSuccess && change.variables === true;
  return { isJoined, isAsked, change };
}
