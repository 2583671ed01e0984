/** What a reader keeps of content: links and saves. */
import { answer, api } from "@/api/client";
import { setMark } from "@/content/marks";
import type { Translate } from "@/i18n/i18n";
import { type PageName, type Params, to } from "@/routing/router";
import { refuse } from "@/ui/refuse";
import { toast } from "@/ui/Toasts";

export async function copyLink(page: PageName, params: Params, t: Translate): Promise<void> {
  const url = new URL(to(page, params), window.location.href).href;
  try {
    await navigator.clipboard.writeText(url);
    toast(t("thread.link_copied"));
  } catch {
    // Without the right to write to the clipboard: where it can be copied by hand.
    window.prompt(t("thread.copy_link"), url);
  }
}

/** Shown at once, taken back when the server refuses. */
export async function setSaved(
  kind: "post" | "comment",
  id: string,
  saved: boolean,
  _t: Translate,
): Promise<void> {
  setMark(id, { saved });
  try {
    const post = { params: { path: { post_id: id } } };
    const comment = { params: { path: { comment_id: id } } };
    if (kind === "post")
      await (saved
        ? answer(api.PUT("/api/v1/posts/{post_id}/save", post))
        : answer(api.DELETE("/api/v1/posts/{post_id}/save", post)));
    else
      await (saved
        ? answer(api.PUT("/api/v1/comments/{comment_id}/save", comment))
        : answer(api.DELETE("/api/v1/comments/{comment_id}/save", comment)));
  } catch (error) {
    setMark(id, { saved: !saved });
    refuse(error);
  }
}
