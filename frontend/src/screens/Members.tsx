import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { Ellipsis } from "lucide-react";
import { answer, api, type Schemas } from "@/api/client";
import { MemberName } from "@/content/MemberName";
import { CommunityFrame } from "@/feed/CommunityFrame";
import { Admissions } from "@/groups/Admissions";
import { GroupSettings } from "@/groups/Settings";
import { useOffice } from "@/groups/useOffice";
import { useI18n } from "@/i18n/i18n";
import type { Params } from "@/routing/router";
import { useSession } from "@/session/session";
import { Avatar } from "@/ui/Avatar";
import { Badge } from "@/ui/Badge";
import { Menu, type MenuItem } from "@/ui/Menu";
import { MoreButton } from "@/ui/MoreButton";
import { refuse } from "@/ui/refuse";
import { ErrorState, SkeletonList } from "@/ui/States";

type Member = Schemas["Member"];

/** Who is in a community; for those who run it, also who comes in. */
export default function MembersPage({ params }: { params: Params }) {
  const { t } = useI18n();
  return (
    <CommunityFrame slug={params.community ?? ""} current="members" title={t("feed.tab_members")}>
      {(community) => <View community={community} />}
    </CommunityFrame>
  );
}

function View({ community }: { community: Schemas["CommunityAnswer"] }) {
  const office = useOffice(community.id);
  const isGroup = community.kind === "group";
  const found = useInfiniteQuery({
    queryKey: ["members", community.id],
    queryFn: ({ pageParam }) =>
      answer(
        api.GET("/api/v1/communities/{community}/members", {
          params: {
            path: { community: community.id },
            query: pageParam ? { cursor: pageParam } : {},
          },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <div className="grid gap-5">
      {isGroup && office !== "none" && <Admissions community={community.id} />}
      {isGroup && office === "admin" && (
        <GroupSettings key={community.rules} community={community} />
      )}
      {found.isPending && <SkeletonList />}
      {found.isError && items.length === 0 && (
        <ErrorState error={found.error} onRetry={() => void found.refetch()} />
      )}
      <ul className="grid">
        {items.map((member) => (
          <Row key={member.account.id} member={member} community={community} office={office} />
        ))}
      </ul>
      <MoreButton list={found} />
    </div>
  );
}

function Row({
  member,
  community,
  office,
}: {
  member: Member;
  community: Schemas["CommunityAnswer"];
  office: ReturnType<typeof useOffice>;
}) {
  const { t } = useI18n();
  const session = useSession();
  const queries = useQueryClient();
  const { account, role } = member;
  const path = { community: community.id, account_id: account.id };

  async function change(call: () => Promise<unknown>) {
    try {
      await call();
      await queries.invalidateQueries({ queryKey: ["members", community.id] });
      await queries.invalidateQueries({ queryKey: ["office", community.id] });
    } catch (error) {
      refuse(error);
    }
  }
  const setRole = (wanted: "member" | "moderator" | "admin") => () =>
    void change(() =>
      answer(
        api.PUT("/api/v1/communities/{community}/members/{account_id}", {
          params: { path },
          body: { role: wanted },
        }),
      ),
    );

  const items: MenuItem[] = [];
  if (office === "admin") {
    if (role !== "moderator")
      items.push({
        kind: "action",
        label: t("groups.make_moderator"),
        onSelect: setRole("moderator"),
      });
    if (role !== "admin")
      items.push({ kind: "action", label: t("groups.make_admin"), onSelect: setRole("admin") });
    if (role !== "member")
      items.push({ kind: "action", label: t("groups.make_member"), onSelect: setRole("member") });
  }
  if (office === "admin" || (office === "moderator" && role === "member"))
    items.push({
      kind: "action",
      label: t("groups.remove"),
      danger: true,
      onSelect: () =>
        void change(() =>
          answer(
            api.DELETE("/api/v1/communities/{community}/members/{account_id}", {
              params: { path },
            }),
          ),
        ),
    });
  return (
    <li className="flex min-h-14 items-center gap-3 border-b border-line py-2">
      <Avatar handle={account.handle} />
      <div className="min-w-0 flex-1">
        <p dir="auto" className="truncate font-semibold">
          {account.display_name}
        </p>
        <p className="text-sm text-ink-soft">
          <MemberName handle={account.handle} />
        </p>
      </div>
      {role === "admin" && <Badge tone="clay">{t("groups.admin")}</Badge>}
      {role === "moderator" && <Badge tone="tile">{t("groups.moderator")}</Badge>}
      {items.length > 0 && account.id !== session.account?.id && (
        <Menu
          label={t("groups.change_member", { handle: account.handle })}
          trigger={<Ellipsis size={20} aria-hidden="true" />}
          items={items}
        />
      )}
    </li>
  );
}
