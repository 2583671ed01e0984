import { Lock, Pin } from "lucide-react";
import type { Post } from "@/api/client";
import { languageName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { Badge } from "@/ui/Badge";

/** What a reader should know of a post before they read it. */
export function PostBadges({ post }: { post: Post }) {
  const { t, language } = useI18n();
  return (
    <>
      {post.pinned && (
        <Badge tone="clay" icon={<Pin size={12} aria-hidden="true" />}>
          {t("feed.pinned")}
        </Badge>
      )}
      {post.locked && (
        <Badge icon={<Lock size={12} aria-hidden="true" />}>{t("feed.locked")}</Badge>
      )}
      {post.language !== language && post.language !== "und" && (
        <Badge>{languageName(post.language, language)}</Badge>
      )}
    </>
  );
}
