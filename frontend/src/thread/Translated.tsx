import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Languages } from "lucide-react";
import { useState } from "react";
import { answer, api } from "@/api/client";
import { Problem } from "@/api/problem";
import { Prose } from "@/content/Prose";
import { languageName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { useSession } from "@/session/session";
import { Button } from "@/ui/Button";
import { problemText } from "@/ui/States";

/** `translation.ready` says it at once, where it is not lost on its way. */
const WAIT_MS = 10_000;

/** A text of another language, in the reader's on request, and always marked as a machine's. */
export function Translated({
  kind,
  id,
  from,
}: {
  kind: "post" | "comment";
  id: string;
  from: string;
}) {
  const { t, language } = useI18n();
  const session = useSession();
  const queries = useQueryClient();
  const [isWanted, setIsWanted] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const key = ["translation", id, language];
  const body = { to: language };
  const query = body;
  const found = useQuery({
    queryKey: key,
    queryFn: () =>
      answer(
        kind === "post"
          ? api.GET("/api/v1/posts/{post_id}/translation", {
              params: { path: { post_id: id }, query },
            })
          : api.GET("/api/v1/comments/{comment_id}/translation", {
              params: { path: { comment_id: id }, query },
            }),
      ),
    enabled: isWanted,
    refetchInterval: (query) => (query.state.data?.state === "pending" ? WAIT_MS : false),
    retry: false,
  });
  if (session.status !== "member" || from === language || from === "und") return null;

  async function ask() {
    setProblem(null);
    try {
      const made = await answer(
        kind === "post"
          ? api.POST("/api/v1/posts/{post_id}/translation", {
              params: { path: { post_id: id } },
              body,
            })
          : api.POST("/api/v1/comments/{comment_id}/translation", {
              params: { path: { comment_id: id } },
              body,
            }),
      );
      queries.setQueryData(key, made);
      setIsWanted(true);
    } catch (error) {
      setProblem(Problem.from(error));
    }
  }

  if (isWanted && found.data?.state === "ready")
    return (
      <section className="rounded-2xl bg-sunken p-4" aria-label={t("thread.translation")}>
        <p className="mb-2 flex items-center gap-2 text-sm text-ink-soft">
          <Languages size={16} aria-hidden="true" />
          {t("thread.translated_from", { language: languageName(from, language) })}
        </p>
        {found.data.title && <h2 className="mb-2 text-xl font-bold">{found.data.title}</h2>}
        <Prose html={found.data.body_html} language={language} />
      </section>
    );
  const isWaiting = isWanted && found.data?.state === "pending";
  return (
    <div className="flex flex-wrap items-center gap-3">
      <Button
        size="small"
        className="min-h-10"
        busy={isWaiting}
        icon={<Languages size={17} aria-hidden="true" />}
        onClick={() => void ask()}
      >
        {t("thread.translate", { language: languageName(language, language) })}
      </Button>
      {problem && (
        <p role="alert" className="text-sm text-ink-soft">
          {problem.code === "not_supported" ? t("thread.no_translation") : problemText(problem, t)}
        </p>
      )}
      {isWanted && found.data?.state === "failed" && (
        <p role="alert" className="text-sm text-ink-soft">
          {t("thread.translation_failed")}
        </p>
      )}
    </div>
  );
}
