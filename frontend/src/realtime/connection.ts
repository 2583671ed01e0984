/**
 * One connection for the whole tab, opened when something first wants it. Channels are shared by
 * those who follow them and are passive while the tab is hidden: coming back, the server sends what
 * was missed, or says that it can't, and then the page is fetched again.
 */
import type { Centrifuge, PublicationContext, Subscription } from "centrifuge";
import type { Stream } from "@/api/client";
import { realtimeUrl } from "@/api/origin";
import {
  accessToken,
  currentSession,
  subscribe as onSession,
  refreshSession,
} from "@/session/session";

export type LiveEvent = { type: string; at: string } & Record<string, unknown>;
export type Follower = {
  /** Each event once, in order; durable ones have an offset. */
  onEvent(event: LiveEvent, offset: number | undefined): void;
  /** More was missed than the server can send: fetch the page again. */
  onLost(): void;
};

type Channel = {
  name: string;
  /** Of counters alone: no position, nothing to recover. */
  light: boolean;
  followers: Set<Follower>;
  subscription: Subscription | null;
  since: { epoch: string; offset: number } | null;
};

/** A tab that is looked away from for a moment goes on as it is. */
const HIDDEN_MS = 30_000;

let client: Centrifuge | null = null;
let starting: Promise<void> | null = null;
let account: string | null = null;
let hiddenTimer: ReturnType<typeof setTimeout> | undefined;
let passive = false;
let state: "idle" | "connecting" | "connected" = "idle";
const channels = new Map<string, Channel>();
const ownFollowers = new Set<(event: LiveEvent) => void>();
const listeners = new Set<() => void>();

/** Follows a page's stream from where the page stands. Returns how to stop. */
export function follow(stream: Stream, follower: Follower): () => void {
  let channel = channels.get(stream.channel);
  if (!channel) {
    const since = { epoch: stream.epoch, offset: stream.offset };
    channel = {
      name: stream.channel,
      light: false,
      followers: new Set(),
      subscription: null,
      since,
    };
    channels.set(stream.channel, channel);
    open(channel);
  } else if (channel.light) {
    channel.light = false;
    channel.since = { epoch: stream.epoch, offset: stream.offset };
    close(channel);
    open(channel);
  } else if (
    channel.since &&
    stream.epoch === channel.since.epoch &&
    stream.offset < channel.since.offset
  ) {
    // This page is older than what the channel has brought already.
    queueMicrotask(follower.onLost);
  }
  return join(channel, follower);
}

/** Follows only the counters of a channel (`feed.activity`, `vote.changed`); a channel that another
 *  page follows in full brings its events too. */
export function followCounters(name: string, follower: Follower): () => void {
  let channel = channels.get(name);
  if (!channel) {
    channel = { name, light: true, followers: new Set(), subscription: null, since: null };
    channels.set(name, channel);
    open(channel);
  }
  return join(channel, follower);
}

function join(joined: Channel, follower: Follower): () => void {
  joined.followers.add(follower);
  return () => {
    joined.followers.delete(follower);
    if (joined.followers.size === 0 && channels.get(joined.name) === joined) {
      channels.delete(joined.name);
      close(joined);
    }
  };
}

/** Events of the member's own stream: notifications, memberships. */
export function followOwn(onEvent: (event: LiveEvent) => void): () => void {
  ownFollowers.add(onEvent);
  void connect();
  return () => ownFollowers.delete(onEvent);
}

/** Sends what lives for a moment only, such as `{type: "typing"}`; nothing when not connected. */
export function publish(channelName: string, data: object): void {
  const subscription = channels.get(channelName)?.subscription;
  if (subscription?.state === "subscribed") subscription.publish(data).catch(() => undefined);
}

export function connectionState(): typeof state {
  return state;
}

export function onConnectionState(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

async function connect(): Promise<void> {
  starting ??= start();
  await starting;
}

async function start(): Promise<void> {
  const { Centrifuge } = await import("centrifuge");
  account = currentSession().account?.id ?? null;
  const made = new Centrifuge(realtimeUrl(), {
    minReconnectDelay: 500,
    maxReconnectDelay: 15_000,
    // A guest sends no token at all.
    ...(account !== null && {
      token: accessToken() ?? "",
      getToken: async () => {
        const fresh = await refreshSession();
        // The SDK tries again later; where the session has ended, `restart` follows as a guest.
        if (fresh === null) throw new Error("no token");
        return fresh;
      },
    }),
  });
  made.on("state", ({ newState }) => {
    state =
      newState === "connected" ? "connected" : newState === "connecting" ? "connecting" : "idle";
    for (const listener of listeners) listener();
  });
  made.on("publication", (context) => own(context.data as LiveEvent));
  client = made;
  for (const channel of channels.values()) open(channel);
  made.connect();
}

function own(event: LiveEvent): void {
  // Perhaps another session of this account: the answer to a refresh says whether it was this one.
  if (event.type === "session.ended" && accessToken() !== null) void refreshSession();
  for (const tell of ownFollowers) tell(event);
}

function open(channel: Channel): void {
  if (client === null) {
    void connect();
    return;
  }
  const since = channel.since;
  const subscription = client.newSubscription(
    channel.name,
    passive || channel.light ? { data: { passive: true } } : since ? { since: { ...since } } : {},
  );
  subscription.on("publication", (context: PublicationContext) => {
    if (context.offset !== undefined && channel.since) channel.since.offset = context.offset;
    for (const follower of [...channel.followers])
      follower.onEvent(context.data as LiveEvent, context.offset);
  });
  subscription.on("subscribed", (context) => {
    if (passive || channel.light) return;
    const lost = context.wasRecovering && !context.recovered;
    if (context.streamPosition && (lost || channel.since === null))
      channel.since = {
        epoch: context.streamPosition.epoch,
        offset: context.streamPosition.offset,
      };
    if (lost) for (const follower of [...channel.followers]) follower.onLost();
  });
  channel.subscription = subscription;
  subscription.subscribe();
}

function close(channel: Channel): void {
  const { subscription } = channel;
  channel.subscription = null;
  if (subscription === null || client === null) return;
  subscription.removeAllListeners();
  subscription.unsubscribe();
  client.removeSubscription(subscription);
}

function setPassive(next: boolean): void {
  if (passive === next) return;
  passive = next;
  for (const channel of channels.values()) {
    close(channel);
    open(channel);
  }
}

function restart(): void {
  if (client === null) return;
  for (const channel of channels.values()) close(channel);
  client.disconnect();
  client = null;
  starting = null;
  if (channels.size > 0 || ownFollowers.size > 0) void connect();
}

if (typeof document !== "undefined") {
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiddenTimer);
    if (document.hidden) hiddenTimer = setTimeout(() => setPassive(true), HIDDEN_MS);
    else setPassive(false);
  });
  onSession(() => {
    const id = currentSession().account?.id ?? null;
    if (starting !== null && id !== account) {
      account = id;
      void starting.then(restart);
    }
  });
}
