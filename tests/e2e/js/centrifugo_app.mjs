// A notice board as one writes it for Centrifugo, with the npm SDK and its HTTP API.
//
//   node centrifugo_app.mjs     (CENTRIFUGO_URL, CENTRIFUGO_API_KEY, CENTRIFUGO_TOKEN_SECRET)
//
// Prints what its people saw, one JSON line a step.
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { Centrifuge } from "centrifuge";
import { EventSource } from "eventsource";
import WebSocket from "ws";

const url = process.env.CENTRIFUGO_URL ?? "http://localhost:8000";
const secret = process.env.CENTRIFUGO_TOKEN_SECRET;
const board = "board-js";

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function token(user, claims = {}) {
  const expires = Math.floor(Date.now() / 1000) + 300;
  const text = `${base64url({ alg: "HS256", typ: "JWT" })}.${base64url({ sub: user, exp: expires, ...claims })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

async function api(method, params) {
  const response = await fetch(`${url}/api/${method}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-API-Key": process.env.CENTRIFUGO_API_KEY },
    body: JSON.stringify(params),
  });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${error.code} ${error.message}`);
  return result;
}

function show(step, value) {
  process.stdout.write(`${JSON.stringify({ [step]: value })}\n`);
}

async function until(condition) {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not in time: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function person(name, transports) {
  const client = new Centrifuge(transports, {
    websocket: WebSocket,
    eventsource: EventSource,
    emulationEndpoint: `${url}/emulation`,
    getToken: async () =>
      token(name, { info: { name: name.toUpperCase() }, subs: { [`letters-js-${name}`]: {} } }),
  });
  const seen = { notes: [], joined: [], left: [], letters: [], codes: [] };
  const sub = client.newSubscription(board, {
    getToken: async ({ channel }) => token(name, { channel, info: { desk: 4 } }),
    recoverable: true,
    joinLeave: true,
    delta: "fossil",
  });
  sub.on("publication", ({ data, info }) => seen.notes.push([info?.user ?? "backend", data]));
  sub.on("join", ({ info }) => seen.joined.push(info.user));
  sub.on("leave", ({ info }) => seen.left.push(info.user));
  client.on("publication", ({ channel, data }) => seen.letters.push([channel, data]));
  client.on("disconnected", ({ code }) => seen.codes.push(code));
  sub.subscribe();
  client.connect();
  return { client, sub, seen };
}

const socket = { transport: "websocket", endpoint: `${url.replace("http", "ws")}/connection/websocket` };
const sse = { transport: "sse", endpoint: `${url}/connection/sse` };

await api("history_remove", { channel: board });
const ada = person("ada", [socket]);
await ada.sub.ready(10_000);
const ben = person("ben", [sse]);
await ben.sub.ready(10_000);
await until(() => ada.seen.joined.includes("ben"));

await ada.sub.publish({ note: "for sale: a bicycle, hardly used, with a bell and two lamps" });
await until(() => ben.seen.notes.length === 1);
await ben.sub.publish({ note: "for sale: a bicycle, hardly used, with a bell and one lamp" });
await until(() => ada.seen.notes.length === 2);
await api("publish", { channel: board, data: { note: "closed on Sunday" } });
await until(() => ada.seen.notes.length === 3 && ben.seen.notes.length === 3);
show("notes", ben.seen.notes);
const history = await ada.sub.history({ limit: 2, reverse: true });
show("newest", history.publications.map(({ data }) => data.note));
await until(async () => (await ben.sub.presenceStats()).numUsers === 2);
const { clients } = await ben.sub.presence();
show("here", Object.values(clients).map((c) => [c.user, c.connInfo.name, c.chanInfo.desk]).sort());

await api("broadcast", { channels: ["letters-js-ada", "letters-js-ben"], data: "a letter" });
await until(() => ada.seen.letters.length && ben.seen.letters.length);
show("letters", [...ada.seen.letters, ...ben.seen.letters]);
show("refusal", await ada.client.rpc("no such method", {}).catch(({ code }) => code));

await api("unsubscribe", { user: "ben", channel: board });
await until(() => ada.seen.left.includes("ben"));
await api("disconnect", { user: "ben" });
await until(() => ben.seen.codes.length === 1);
show("banned", ben.seen.codes);
const gone = once(ada.client, "disconnected");
ada.client.disconnect();
await gone;
show("end", ada.seen.codes);
