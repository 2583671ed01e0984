import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { Schemas } from "@/api/client";
import { communityBySlug } from "@/content/communities";
import { useCommunityName } from "@/content/names";
import { PageHeading } from "@/shell/PageHeading";
import { Arch } from "@/ui/Avatar";
import { ErrorState, SkeletonList } from "@/ui/States";
import { CommunityTabs } from "./CommunityTabs";

/** What stands above each part of a community but its feed. */
export function CommunityFrame({
  slug,
  current,
  title,
  children,
}: {
  slug: string;
  /** The part, as in CommunityTabs. */
  current: string;
  title: string;
  children: (community: Schemas["CommunityAnswer"]) => ReactNode;
}) {
  const nameOf = useCommunityName();
  const found = useQuery(communityBySlug(slug));
  if (found.isPending) return <SkeletonList />;
  if (found.isError) return <ErrorState error={found.error} onRetry={() => void found.refetch()} />;
  const name = nameOf(found.data);
  return (
    <div className="mx-auto grid max-w-3xl gap-5 *:min-w-0">
      <header className="flex items-center gap-4">
        <Arch country={found.data.country} name={found.data.name} large />
        <div className="min-w-0">
          <PageHeading title={`${title} · ${name}`} className="text-2xl font-bold sm:text-3xl">
            {title}
          </PageHeading>
          <p className="text-ink-soft">{name}</p>
        </div>
      </header>
      <CommunityTabs community={found.data} current={current} />
      {children(found.data)}
    </div>
  );
}
