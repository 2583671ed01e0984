import { useQuery } from "@tanstack/react-query";
import { CircleCheck, MessageCircleQuestion } from "lucide-react";
import { useEffect, useState } from "react";
import { answer, api } from "@/api/client";
import { useI18n } from "@/i18n/i18n";
import { to } from "@/routing/router";
import { Badge } from "@/ui/Badge";

const PAUSE_MS = 600;
const LEAST_CHARACTERS = 8;
const SHOWN = 3;

/** Posts that may ask the same: whoever finds theirs among them needs not wait for an answer. */
export function Similar({ title, community }: { title: string; community: string }) {
  const { t } = useI18n();
  const [asked, setAsked] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setAsked(title.trim()), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [title]);
  const found = useQuery({
    queryKey: ["similar", community, asked],
    queryFn: () =>
      answer(
        api.GET("/api/v1/posts/similar", {
          params: { query: { title: asked, community_id: community, limit: SHOWN } },
        }),
      ),
    enabled: asked.length >= LEAST_CHARACTERS,
    staleTime: 60_000,
    // An extra: nobody is kept from writing because it can't be had.
    retry: false,
    placeholderData: (before) => before,
  });
  const items = asked.length >= LEAST_CHARACTERS ? (found.data?.items ?? []) : [];
  if (items.length === 0) return null;
  return (
    <section aria-labelledby="similar" className="rounded-2xl bg-lamp-wash p-4">
      <h2 id="similar" role="status" className="flex items-center gap-2 font-bold">
        <MessageCircleQuestion size={20} aria-hidden="true" />
        {t("compose.similar", { count: items.length })}
      </h2>
      <ul className="mt-2 grid">
        {items.map(({ post }) => (
          <li key={post.id}>
            <a
              href={to("thread", { post: post.id })}
              target="_blank"
              rel="noreferrer"
              className="flex min-h-11 flex-wrap items-center gap-2 py-1.5 font-semibold text-ink underline underline-offset-4"
            >
              <span dir="auto" lang={post.language}>
                {post.title}
              </span>
              <span className="text-sm font-normal no-underline">
                {t("feed.comments", { count: post.comment_count })}
              </span>
              {post.accepted_comment_id && (
                <Badge tone="leaf" icon={<CircleCheck size={14} aria-hidden="true" />}>
                  {t("feed.answered")}
                </Badge>
              )}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
