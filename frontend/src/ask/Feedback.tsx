import { ThumbsDown, ThumbsUp } from "lucide-react";
import { useState } from "react";
import { answer, api } from "@/api/client";
import { useI18n } from "@/i18n/i18n";
import { useSession } from "@/session/session";
import { Button } from "@/ui/Button";
import { Textarea } from "@/ui/Field";
import { refuse } from "@/ui/refuse";

type Verdict = "helpful" | "wrong";

/** Whether an answer helped; of a wrong one, what is wrong, for people to read. */
export function Feedback({ answerId }: { answerId: string }) {
  const { t } = useI18n();
  const session = useSession();
  const [verdict, setVerdict] = useState<Verdict | null>(null);
  const [note, setNote] = useState("");
  const [isNoted, setIsNoted] = useState(false);
  if (session.status !== "member") return null;

  async function give(next: Verdict, text = "") {
    const before = verdict;
    setVerdict(next);
    try {
      await answer(
        api.POST("/api/v1/ask/{answer_id}/feedback", {
          params: { path: { answer_id: answerId } },
          body: { verdict: next, note: text },
        }),
      );
      if (next === "helpful" || text) setIsNoted(true);
    } catch (error) {
      setVerdict(before);
      refuse(error);
    }
  }

  return (
    <div className="grid gap-3">
      <div className="flex flex-wrap items-center gap-2">
        <span className="text-ink-soft">{t("ask.did_it_help")}</span>
        <Button
          size="small"
          className="min-h-10"
          aria-pressed={verdict === "helpful"}
          icon={<ThumbsUp size={17} aria-hidden="true" />}
          onClick={() => void give("helpful")}
        >
          {t("ask.helpful")}
        </Button>
        <Button
          size="small"
          className="min-h-10"
          aria-pressed={verdict === "wrong"}
          icon={<ThumbsDown size={17} aria-hidden="true" />}
          onClick={() => void give("wrong")}
        >
          {t("ask.wrong")}
        </Button>
      </div>
      {isNoted && <p role="status">{t("ask.thanks")}</p>}
      {verdict === "wrong" && !isNoted && (
        <form
          className="grid gap-2"
          onSubmit={(event) => {
            event.preventDefault();
            void give("wrong", note.trim());
          }}
        >
          <Textarea
            label={t("ask.what_is_wrong")}
            value={note}
            maxLength={2_000}
            onChange={(event) => setNote(event.target.value)}
          />
          <Button type="submit" disabled={!note.trim()} className="justify-self-end">
            {t("ask.send_note")}
          </Button>
        </form>
      )}
    </div>
  );
}
