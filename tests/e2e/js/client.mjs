// A JavaScript SDK client driven by JSON lines: commands on stdin, events on stdout.
//
//   node client.mjs [url [token]]      (or {"op":"connect","url":…,"token":…} as the first line)
//
// A list of {"transport":…,"endpoint":…} in place of the URL chooses other transports, "protobuf":true
// in the connect command the SDK's Protobuf build. Payloads are JSON values here in either encoding.
//
// A command may carry "id": its outcome comes back as {"event":"result","id":…} or
// {"event":"failed","id":…,"code":…,"message":…}. The end of stdin disconnects and exits.
import { createInterface } from "node:readline";
import { Centrifuge } from "centrifuge";
import { Centrifuge as BinaryCentrifuge } from "centrifuge/build/protobuf";
import { EventSource } from "eventsource";
import WebSocket from "ws";

const sockets = new Set();

// Known by instance, so that "drop" can cut the wire under the SDK.
class TrackedSocket extends WebSocket {
  constructor(...args) {
    super(...args);
    sockets.add(this);
    this.on("close", () => sockets.delete(this));
  }
}

let client = null;
let binary = false;
let giveToken = null;
const giveSubscriptionToken = new Map();

// The Protobuf build has bytes where the other has JSON values.
function shown(key, value) {
  const given = this[key]; // `value` of a Buffer is what its toJSON made
  if (!(given instanceof Uint8Array)) return value;
  return given.length ? JSON.parse(new TextDecoder().decode(given)) : null;
}

function payload(value) {
  return binary ? new TextEncoder().encode(JSON.stringify(value ?? null)) : value;
}

function emit(event, fields = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...fields }, shown)}\n`);
}

function publication(ctx) {
  return {
    channel: ctx.channel,
    offset: ctx.offset ?? null,
    data: ctx.data,
    info: ctx.info,
    tags: ctx.tags,
  };
}

function subscribed(ctx) {
  return {
    channel: ctx.channel,
    recoverable: ctx.recoverable,
    positioned: ctx.positioned,
    recovered: ctx.recovered,
    was_recovering: ctx.wasRecovering,
    position: ctx.streamPosition ?? null,
    data: ctx.data,
  };
}

function reason(ctx) {
  return { channel: ctx.channel, code: ctx.code, reason: ctx.reason };
}

function problem(ctx) {
  return { channel: ctx.channel, kind: ctx.type, code: ctx.error?.code, message: ctx.error?.message };
}

function create({ url, token, refresh = false, protobuf = false, options = {} }) {
  binary = protobuf;
  const made = new (protobuf ? BinaryCentrifuge : Centrifuge)(url, {
    websocket: TrackedSocket,
    eventsource: EventSource,
    minReconnectDelay: 50,
    maxReconnectDelay: 1000,
    ...(token ? { token } : {}),
    ...(refresh
      ? {
          getToken: () =>
            new Promise((resolve) => {
              giveToken = resolve;
              emit("token_needed");
            }),
        }
      : {}),
    ...options,
  });
  made.on("connecting", (ctx) => emit("connecting", reason(ctx)));
  made.on("connected", (ctx) =>
    emit("connected", { client: ctx.client, transport: ctx.transport, data: ctx.data }),
  );
  made.on("disconnected", (ctx) => emit("disconnected", reason(ctx)));
  made.on("error", (ctx) => emit("error", problem(ctx)));
  made.on("message", (ctx) => emit("message", { data: ctx.data }));
  made.on("subscribing", (ctx) => emit("server_subscribing", { channel: ctx.channel }));
  made.on("subscribed", (ctx) => emit("server_subscribed", subscribed(ctx)));
  made.on("unsubscribed", (ctx) => emit("server_unsubscribed", { channel: ctx.channel }));
  made.on("publication", (ctx) => emit("server_publication", publication(ctx)));
  made.on("join", (ctx) => emit("server_join", { channel: ctx.channel, info: ctx.info }));
  made.on("leave", (ctx) => emit("server_leave", { channel: ctx.channel, info: ctx.info }));
  return made;
}

function subscribe({ channel, since, token, refresh = false, options = {} }) {
  const old = client.getSubscription(channel);
  if (old) {
    old.subscribe();
    return;
  }
  const sub = client.newSubscription(channel, {
    minResubscribeDelay: 50,
    maxResubscribeDelay: 1000,
    ...(since ? { since } : {}),
    ...(token ? { token } : {}),
    ...(refresh
      ? {
          getToken: () =>
            new Promise((resolve) => {
              giveSubscriptionToken.set(channel, resolve);
              emit("subscription_token_needed", { channel });
            }),
        }
      : {}),
    ...options,
  });
  sub.on("subscribing", (ctx) => emit("subscribing", reason(ctx)));
  sub.on("subscribed", (ctx) => emit("subscribed", subscribed(ctx)));
  sub.on("unsubscribed", (ctx) => emit("unsubscribed", reason(ctx)));
  sub.on("publication", (ctx) => emit("publication", publication(ctx)));
  sub.on("join", (ctx) => emit("join", { channel: ctx.channel, info: ctx.info }));
  sub.on("leave", (ctx) => emit("leave", { channel: ctx.channel, info: ctx.info }));
  sub.on("error", (ctx) => emit("subscription_error", problem(ctx)));
  sub.subscribe();
}

function subscription(channel) {
  const sub = client.getSubscription(channel);
  if (!sub) throw new Error(`no subscription to ${channel}`);
  return sub;
}

const operations = {
  connect(command) {
    client ??= create(command);
    client.connect();
  },
  disconnect() {
    client.disconnect();
  },
  drop() {
    for (const socket of sockets) socket.terminate();
  },
  subscriptionToken({ channel, token }) {
    const give = giveSubscriptionToken.get(channel);
    if (!give) throw new Error("no token was asked for");
    giveSubscriptionToken.delete(channel);
    give(token);
  },
  token({ token }) {
    if (!giveToken) throw new Error("no token was asked for");
    giveToken(token);
    giveToken = null;
  },
  subscribe,
  unsubscribe({ channel, forget = false }) {
    const sub = subscription(channel);
    sub.unsubscribe();
    if (forget) client.removeSubscription(sub);
  },
  publish: ({ channel, data }) => subscription(channel).publish(payload(data)),
  presence: ({ channel }) => client.presence(channel),
  presenceStats: ({ channel }) => client.presenceStats(channel),
  history: ({ channel, limit = -1, since, reverse = false }) =>
    client.history(channel, { limit, reverse, ...(since ? { since } : {}) }),
  rpc: ({ method, data }) => client.rpc(method, payload(data)),
  deltaStats: ({ channel }) => subscription(channel).deltaStats(),
};

async function perform(line) {
  let id;
  try {
    const command = JSON.parse(line);
    id = command.id;
    const operation = operations[command.op];
    if (!operation) throw new Error(`unknown op ${command.op}`);
    const result = await operation(command);
    if (id !== undefined) emit("result", { id, result: result ?? null });
  } catch (error) {
    emit("failed", { id, code: error.code ?? null, message: error.message ?? String(error) });
  }
}

const [url, token] = process.argv.slice(2);
if (url) operations.connect({ url, token });

// Not awaited one by one: several commands may be in flight, as in a browser.
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => void perform(line));
lines.on("close", () => {
  client?.disconnect();
  for (const socket of sockets) socket.terminate();
});
