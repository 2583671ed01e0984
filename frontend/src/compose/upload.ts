/** Sends a file and waits until the server has looked at it; resolves with the Markdown that shows it. */
import { answer, api, type Schemas } from "@/api/client";
import { API_ORIGIN } from "@/api/origin";
import { Problem } from "@/api/problem";

export const ACCEPTED = "image/jpeg,image/png,image/webp,image/gif,image/avif,application/pdf";
const WAIT_MS = 700;
const TRIES = 120;

/** Raises `Problem`, also for a file that the server refuses after it has seen it. */
export async function upload(file: File): Promise<string> {
  const body = { file_name: file.name || "image", size_bytes: file.size, content_type: file.type };
  const ticket = await answer(api.POST("/api/v1/media", { body }));
  await sendBytes(ticket, file);
  for (let left = TRIES; left > 0; left -= 1) {
    const state = await answer(
      api.POST("/api/v1/media/{media_id}/complete", { params: { path: { media_id: ticket.id } } }),
    );
    if (state.status === "ready") return linkTo(ticket.id, file);
    if (state.status === "refused") throw refused(state.reason ?? "");
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
  }
  throw new Problem({ code: "unavailable", status: 503 });
}

async function sendBytes(ticket: Schemas["MediaTicket"], file: File): Promise<void> {
  const { method, url, headers } = ticket.upload;
  let response: Response;
  try {
    response = await fetch(url.startsWith("/") ? API_ORIGIN + url : url, {
      method,
      headers,
      body: file,
    });
  } catch (error) {
    throw Problem.from(error);
  }
  if (!response.ok) throw await Problem.of(response);
}

function linkTo(id: string, file: File): string {
  const name = (file.name || "image").replace(/[[\]\\]/g, " ").trim();
  return `${file.type === "application/pdf" ? "" : "!"}[${name}](/media/${id})`;
}

function refused(reason: string): Problem {
  return new Problem({ code: "invalid", status: 422, detail: reason });
}
