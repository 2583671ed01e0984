import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { answer, api, type Schemas } from "@/api/client";
import { Problem } from "@/api/problem";
import { day } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { navigate, to, useLocation } from "@/routing/router";
import { useSession } from "@/session/session";
import { Button } from "@/ui/Button";
import { problemText } from "@/ui/States";

type Poll = Schemas["Poll"];

/** A poll: its options with their bars, and the reader's own vote, which may be changed while it is open. */
export function PollBox({ post, poll, closed }: { post: string; poll: Poll; closed: boolean }) {
  const { t, language } = useI18n();
  const session = useSession();
  const queries = useQueryClient();
  const { path } = useLocation();
  const key = ["poll", post];
  const own = useQuery({
    queryKey: key,
    queryFn: () =>
      answer(api.GET("/api/v1/posts/{post_id}/poll", { params: { path: { post_id: post } } })),
    enabled: session.status === "member",
  });
  const [marked, setMarked] = useState<readonly number[] | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const shown: Poll = own.data ?? poll;
  const mine = marked ?? own.data?.mine ?? [];
  const isOver = closed || (shown.closes_at !== null && Date.parse(shown.closes_at) < Date.now());
  const total = Math.max(1, shown.voters);

  function mark(place: number) {
    if (!shown.multiple) setMarked([place]);
    else setMarked(mine.includes(place) ? mine.filter((at) => at !== place) : [...mine, place]);
  }

  async function vote() {
    if (session.status !== "member") {
      navigate(to("login", {}, { next: path }));
      return;
    }
    setBusy(true);
    setProblem(null);
    try {
      await answer(
        api.PUT("/api/v1/posts/{post_id}/poll/vote", {
          params: { path: { post_id: post } },
          body: { options: [...mine].sort((one, other) => one - other) },
        }),
      );
      await queries.invalidateQueries({ queryKey: key });
      setMarked(null);
    } catch (error) {
      setProblem(Problem.from(error));
    } finally {
      setBusy(false);
    }
  }

  return (
    <fieldset className="card grid gap-2 p-4" disabled={isOver}>
      <legend className="sr-only">{t("thread.poll")}</legend>
      <p dir="auto" className="font-semibold">
        {shown.question}
      </p>
      {shown.options.map((option, place) => (
        <label
          key={place}
          className="relative flex min-h-11 items-center gap-3 overflow-hidden rounded-xl border border-line px-3"
        >
          <span
            aria-hidden="true"
            className="absolute inset-y-0 start-0 bg-tile-wash"
            style={{ width: `${(100 * option.votes) / total}%` }}
          />
          <input
            type={shown.multiple ? "checkbox" : "radio"}
            name={`poll-${post}`}
            checked={mine.includes(place)}
            onChange={() => mark(place)}
            className="relative size-5 accent-(--tile)"
          />
          <span dir="auto" className="relative flex-1 py-2">
            {option.text}
          </span>
          <span className="relative text-sm tabular-nums">
            {t("thread.poll_votes", { count: option.votes })}
          </span>
        </label>
      ))}
      <div className="flex flex-wrap items-center justify-between gap-2 text-sm text-ink-soft">
        <span>
          {t("thread.poll_voters", { count: shown.voters })}
          {isOver && ` · ${t("thread.poll_over")}`}
          {!isOver &&
            shown.closes_at &&
            ` · ${t("thread.poll_until", { day: day(shown.closes_at, language) })}`}
        </span>
        {!isOver && (
          <Button
            look="primary"
            size="small"
            busy={busy}
            disabled={marked === null}
            onClick={() => void vote()}
          >
            {t("thread.poll_vote")}
          </Button>
        )}
      </div>
      {problem && (
        <p role="alert" className="text-sm text-danger">
          {problemText(problem, t)}
        </p>
      )}
    </fieldset>
  );
}
