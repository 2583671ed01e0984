import { QueryClient } from "@tanstack/react-query";
import { Problem } from "@/api/problem";
import { currentSession, subscribe } from "@/session/session";

const TRIES = 3;

/** Reads are tried again only where that may help, and not before the server wants it. */
export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      gcTime: 15 * 60_000,
      refetchOnWindowFocus: false,
      networkMode: "always",
      retry: (failures, error) => error instanceof Problem && error.isPassing && failures < TRIES,
      retryDelay: (failures, error) => {
        const asked = error instanceof Problem ? error.retryAfterSeconds : null;
        return (asked ?? 2 ** failures * 0.5) * 1000 * (1 + Math.random() / 4);
      },
    },
    mutations: { networkMode: "always", retry: false },
  },
});

// What one account read is nothing for the next one.
let known = currentSession().account?.id;
subscribe(() => {
  const id = currentSession().account?.id;
  if (id === known) return;
  known = id;
  queryClient.clear();
});
