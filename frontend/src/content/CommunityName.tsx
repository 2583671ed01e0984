import { useQuery } from "@tanstack/react-query";
import type { Post } from "@/api/client";
import { countryName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { Link } from "@/routing/Link";
import { to } from "@/routing/router";
import { communityBySlug } from "./communities";
import { useCommunityName } from "./names";

/** Where a post stands. Its country is known at once, the rest follows on the same line. */
export function CommunityName({ post }: { post: Post }) {
  const { t, language } = useI18n();
  const nameOf = useCommunityName();
  const { data } = useQuery(communityBySlug(post.community_id));
  const known = post.country ? countryName(post.country, language) : t("feed.group");
  return (
    <Link
      href={to("community", { community: data?.slug ?? post.community_id })}
      className="relative z-10 block max-w-full truncate leading-6 font-semibold text-ink hover:underline"
    >
      {data ? nameOf(data) : known}
    </Link>
  );
}
