import { useEffect, useRef, useSyncExternalStore } from "react";
import type { Stream } from "@/api/client";
import {
  connectionState,
  type Follower,
  follow,
  followOwn,
  type LiveEvent,
  onConnectionState,
} from "./connection";

/** Follows the stream of a page for as long as the component is there; handlers may change freely. */
export function useStream(stream: Stream | undefined, follower: Follower): void {
  const latest = useRef(follower);
  useEffect(() => {
    latest.current = follower;
  });
  // A page that was fetched again is at another offset of the same channel: nothing to do anew.
  const { channel, epoch } = stream ?? {};
  const first = useRef(stream);
  first.current = stream;
  useEffect(() => {
    if (channel === undefined || epoch === undefined || !first.current) return;
    return follow(first.current, {
      onEvent: (event, offset) => latest.current.onEvent(event, offset),
      onLost: () => latest.current.onLost(),
    });
  }, [channel, epoch]);
}

/** Events of the member's own stream. */
export function useOwnStream(onEvent: (event: LiveEvent) => void, isMember: boolean): void {
  const latest = useRef(onEvent);
  useEffect(() => {
    latest.current = onEvent;
  });
  useEffect(() => {
    if (isMember) return followOwn((event) => latest.current(event));
  }, [isMember]);
}

export function useConnectionState(): "idle" | "connecting" | "connected" {
  return useSyncExternalStore(onConnectionState, connectionState, () => "idle");
}
