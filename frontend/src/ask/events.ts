/** One question to the assistant, answered as server-sent events over fetch, which can send a token. */
import type { Schemas } from "@/api/client";
import { API_ORIGIN } from "@/api/origin";
import { Problem } from "@/api/problem";
import { accessToken, refreshSession } from "@/session/session";

export type Source = Schemas["AnswerSource"];
export type Final = Schemas["FinalAnswer"];
export type Question = {
  question: string;
  country?: string;
  visa_type?: string;
  language?: string;
};

export type Hearing = {
  onSources(sources: Source[]): void;
  onToken(text: string): void;
  onAnswer(answer: Final): void;
};

/** Resolves after the answer; raises `Problem`. Aborting ends the generation at the server too. */
export async function ask(question: Question, hear: Hearing, signal: AbortSignal): Promise<void> {
  let response = await request(question, signal);
  if (response.status === 401 && (await Problem.of(response)).code === "token_expired") {
    if ((await refreshSession()) !== null) response = await request(question, signal);
  }
  if (!response.ok || response.body === null) throw await Problem.of(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  let isAnswered = false;
  for (;;) {
    const { done, value } = await reader.read();
    waiting += value ?? "";
    for (let end = waiting.indexOf("\n\n"); end >= 0; end = waiting.indexOf("\n\n")) {
      isAnswered = tell(waiting.slice(0, end), hear) || isAnswered;
      waiting = waiting.slice(end + 2);
    }
    if (done) break;
  }
  if (!isAnswered) throw new Problem({ code: "offline", status: 0 });
}

async function request(question: Question, signal: AbortSignal): Promise<Response> {
  const token = accessToken();
  try {
    return await fetch(`${API_ORIGIN}/api/v1/ask`, {
      method: "POST",
      signal,
      credentials: "include",
      headers: {
        Accept: "text/event-stream",
        "Content-Type": "application/json",
        ...(token !== null && { Authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(question),
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw Problem.from(error);
  }
}

function tell(frame: string, hear: Hearing): boolean {
  let name = "";
  let data = "";
  for (const line of frame.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (name === "sources") hear.onSources(JSON.parse(data) as Source[]);
  else if (name === "token") hear.onToken((JSON.parse(data) as { text: string }).text);
  else if (name === "error") throw new Problem(JSON.parse(data));
  else if (name === "answer") {
    hear.onAnswer(JSON.parse(data) as Final);
    return true;
  }
  return false;
}
