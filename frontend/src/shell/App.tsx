"use client";

import { QueryClientProvider } from "@tanstack/react-query";
import { useEffect, useState, useSyncExternalStore } from "react";
import { preferredLanguage, setLanguage } from "@/i18n/i18n";
import { startSession, useSession } from "@/session/session";
import { Frame } from "./Frame";
import { queryClient } from "./queries";
import { Waiting } from "./Waiting";

const never = () => () => {};

/**
 * The whole site. The exported file holds the waiting frame alone, because it is the same for every
 * address; what the address asks for is shown once the page runs.
 */
export function App() {
  const running = useSyncExternalStore(
    never,
    () => true,
    () => false,
  );
  return running ? <Running /> : <Waiting />;
}

function Running() {
  const [ready, setReady] = useState(false);
  const session = useSession();
  useEffect(() => {
    // Whatever fails of it, there is a page to show: in English, or as a guest.
    void Promise.allSettled([setLanguage(preferredLanguage(), false), startSession()]).then(() =>
      setReady(true),
    );
  }, []);
  if (!ready || session.status === "unknown") return <Waiting />;
  return (
    <QueryClientProvider client={queryClient}>
      <Frame />
    </QueryClientProvider>
  );
}
