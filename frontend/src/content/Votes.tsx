import { ArrowBigDown, ArrowBigUp } from "lucide-react";
import { useState } from "react";
import { answer, api } from "@/api/client";
import { compact } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { navigate, to } from "@/routing/router";
import { useSession } from "@/session/session";
import { refuse } from "@/ui/refuse";
import { setMark, useMark, type Vote } from "./marks";

/** Up and down, counted at once and taken back when the server refuses. */
export function Votes({
  kind,
  id,
  score,
}: {
  kind: "post" | "comment";
  id: string;
  score: number;
}) {
  const { t, language } = useI18n();
  const session = useSession();
  const { vote } = useMark(id);
  // The score on the page holds the vote that was cast when it was read; this is what came since.
  const [counted, setCounted] = useState<{ score: number; vote: Vote } | null>(null);
  const shown = counted && counted.score === score ? score + vote - counted.vote : score;

  async function cast(wanted: 1 | -1) {
    if (session.status !== "member") {
      navigate(to("login", {}, { next: window.location.pathname }));
      return;
    }
    const value: Vote = vote === wanted ? 0 : wanted;
    const before = vote;
    setCounted((known) => (known && known.score === score ? known : { score, vote: before }));
    setMark(id, { vote: value });
    try {
      const body = { value };
      await (kind === "post"
        ? answer(
            api.PUT("/api/v1/posts/{post_id}/vote", { params: { path: { post_id: id } }, body }),
          )
        : answer(
            api.PUT("/api/v1/comments/{comment_id}/vote", {
              params: { path: { comment_id: id } },
              body,
            }),
          ));
    } catch (error) {
      setMark(id, { vote: before });
      refuse(error);
    }
  }

  const button =
    "inline-flex size-10 items-center justify-center rounded-full hover:bg-tile-wash hover:text-tile aria-pressed:text-tile";
  return (
    <span className="inline-flex items-center rounded-full bg-sunken text-ink-soft">
      <button
        type="button"
        className={button}
        aria-pressed={vote === 1}
        aria-label={t("feed.vote_up")}
        onClick={() => void cast(1)}
      >
        <ArrowBigUp size={20} aria-hidden="true" fill={vote === 1 ? "currentColor" : "none"} />
      </button>
      <span className="min-w-6 text-center text-sm font-semibold tabular-nums">
        <span className="sr-only">{t("feed.score", { count: shown })}</span>
        <span aria-hidden="true">{compact(shown, language)}</span>
      </span>
      <button
        type="button"
        className={button}
        aria-pressed={vote === -1}
        aria-label={t("feed.vote_down")}
        onClick={() => void cast(-1)}
      >
        <ArrowBigDown size={20} aria-hidden="true" fill={vote === -1 ? "currentColor" : "none"} />
      </button>
    </span>
  );
}
