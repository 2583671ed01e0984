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

/** Whether a request of the reader to be let in waits for an answer. */
const askedToJoin = (community: string) =>
  queryOptions({
    queryKey: ["communities", "asked", community],
    queryFn: async () => {
      const query = { ids: community };
      const marks = await answer(api.GET("/api/v1/me/marks", { params: { query } }));
      return marks.asked.includes(community);
    },
  });

/** Whether the reader is a member, and how to become one or leave; shown before the server answers. */
export function useMembership(community: Community) {
  const queries = useQueryClient();
  const session = useSession();
  const joined = useQuery({ ...joinedCommunities(), enabled: session.status === "member" });
  const isJoined = joined.data?.items.some((item) => item.id === community.id) ?? false;
  const isByRequest = community.joining === "request";
  const asked = useQuery({
    ...askedToJoin(community.id),
    enabled: isByRequest && joined.isSuccess && !isJoined,
  });
  const key = joinedCommunities().queryKey;
  const askedKey = askedToJoin(community.id).queryKey;
  const change = useMutation({
    mutationFn: async (join: boolean) => {
      const params = { path: { community: community.id } };
      // Where members are let in one by one: true once the other side has agreed already.
      if (join && isByRequest)
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
      await queries.cancelQueries({ queryKey: askedKey });
      const before = queries.getQueryData(key);
      // Asking is not being let in.
      if (join && isByRequest) return before;
      const others = before?.items.filter((item) => item.id !== community.id) ?? [];
      queries.setQueryData(key, {
        items: join ? [...others, community] : others,
        next_cursor: null,
      });
      return before;
    },
    onSuccess: (isMember, join) => queries.setQueryData(askedKey, join && !isMember),
    onError: (_error, _join, before) => queries.setQueryData(key, before),
    onSettled: () => queries.invalidateQueries({ queryKey: key }),
  });
  const isAsked = !isJoined && asked.data === true;
  return { isJoined, isAsked, change };
}
