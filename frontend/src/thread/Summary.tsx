import { useQuery } from "@tanstack/react-query";
import { Bot } from "lucide-react";
import { answer, api } from "@/api/client";
import { useI18n } from "@/i18n/i18n";
import { Link } from "@/routing/Link";
import { to } from "@/routing/router";

/** The server summarises threads from so many comments on. */
const LEAST_COMMENTS = 10;

/** What a long thread says, with the comments that say it; where there is none yet, nothing. */
export function Summary({ post, comments }: { post: string; comments: number }) {
  const { t } = useI18n();
  const found = useQuery({
    queryKey: ["summary", post],
    queryFn: () =>
      answer(api.GET("/api/v1/posts/{post_id}/summary", { params: { path: { post_id: post } } })),
    enabled: comments >= LEAST_COMMENTS,
    retry: false,
  });
  if (!found.data) return null;
  const { sentences, language, comment_count } = found.data;
  return (
    <details className="card p-4" open>
      <summary className="min-h-8 font-bold">
        <span className="inline-flex items-center gap-2">
          <Bot size={20} aria-hidden="true" className="text-tile" />
          {t("thread.summary", { count: comment_count })}
        </span>
      </summary>
      <ul dir="auto" lang={language} className="mt-2 list-disc ps-6">
        {sentences.map((sentence, at) => (
          <li key={at} className="py-1">
            {sentence.text}{" "}
            {sentence.comment_ids.map((comment, place) => (
              <Link
                key={comment}
                href={to("comment", { post, comment })}
                className="link text-sm"
                aria-label={t("thread.summary_source", { n: place + 1 })}
              >
                ↗
              </Link>
            ))}
          </li>
        ))}
      </ul>
    </details>
  );
}
