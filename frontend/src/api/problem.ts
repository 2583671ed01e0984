/** A failure of the API (RFC 9457), or of the way to it: then `code` is `offline`. */
export class Problem extends Error {
  readonly code: string;
  readonly status: number;
  readonly detail: string;
  readonly errors: readonly { path: string; reason: string }[];
  readonly requestId: string;
  readonly retryAfterSeconds: number | null;

  constructor(fields: {
    code: string;
    status: number;
    detail?: string;
    errors?: readonly { path: string; reason: string }[];
    request_id?: string;
    retryAfterSeconds?: number | null;
  }) {
    super(`${fields.code}: ${fields.detail ?? ""}`);
    this.name = "Problem";
    this.code = fields.code;
    this.status = fields.status;
    this.detail = fields.detail ?? "";
    this.errors = fields.errors ?? [];
    this.requestId = fields.request_id ?? "";
    this.retryAfterSeconds = fields.retryAfterSeconds ?? null;
  }

  /** Whether the same request may succeed in a moment. */
  get isPassing(): boolean {
    return ["offline", "overloaded", "unavailable", "rate_limited"].includes(this.code);
  }

  /** What the server says about one field of a form. */
  reasonOf(path: string): string | undefined {
    return this.errors.find((error) => error.path === path)?.reason;
  }

  static async of(response: Response): Promise<Problem> {
    const retryAfter = Number(response.headers.get("Retry-After"));
    const retryAfterSeconds = Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : null;
    try {
      const body = await response.clone().json();
      return new Problem({ ...body, status: response.status, retryAfterSeconds });
    } catch {
      const code = response.status >= 500 ? "unavailable" : "invalid";
      return new Problem({ code, status: response.status, retryAfterSeconds });
    }
  }

  static from(error: unknown): Problem {
    if (error instanceof Problem) return error;
    // fetch rejects with TypeError when there is no way to the server.
    if (error instanceof TypeError) return new Problem({ code: "offline", status: 0 });
    throw error;
  }
}
