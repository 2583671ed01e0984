/** Where the API is: empty for the same origin; set at build for pages on a CDN. */
export const API_ORIGIN = process.env.API_ORIGIN ?? "";

export function realtimeUrl(): string {
  const origin = API_ORIGIN || window.location.origin;
  return `${origin.replace(/^http/, "ws")}/connection/websocket`;
}
