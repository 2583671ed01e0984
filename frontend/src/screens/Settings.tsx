import type { ReactNode } from "react";
import { useI18n } from "@/i18n/i18n";
import type { MessageKey } from "@/i18n/sections";
import { to, useSearch } from "@/routing/router";
import { useSession } from "@/session/session";
import { AccountSettings } from "@/settings/Account";
import { Drafts, Saves } from "@/settings/Kept";
import { OwnData } from "@/settings/OwnData";
import { PageHeading } from "@/shell/PageHeading";
import { Avatar } from "@/ui/Avatar";
import { ButtonLink } from "@/ui/Button";
import { EmptyState } from "@/ui/States";
import { LinkTabs } from "@/ui/Tabs";

const PARTS: { id: string; label: MessageKey; show: () => ReactNode }[] = [
  { id: "account", label: "settings.account", show: () => <AccountSettings /> },
  { id: "saves", label: "settings.saves", show: () => <Saves /> },
  { id: "drafts", label: "settings.drafts", show: () => <Drafts /> },
  { id: "data", label: "settings.data", show: () => <OwnData /> },
];

/** What is the member's own: profile, what they keep, and their data. */
export default function SettingsPage() {
  const { t } = useI18n();
  const session = useSession();
  const [query] = useSearch();
  const part = PARTS.find(({ id }) => id === query.get("part")) ?? PARTS[0];
  if (session.status !== "member" || !part)
    return (
      <EmptyState
        wholePage
        title={t("shell.error_unauthenticated")}
        action={
          <ButtonLink href={to("login", {}, { next: to("settings") })} look="primary">
            {t("shell.sign_in")}
          </ButtonLink>
        }
      />
    );
  return (
    <div className="mx-auto grid max-w-3xl gap-5">
      <div className="flex items-center gap-4">
        <Avatar handle={session.account.handle} size="large" />
        <div className="min-w-0">
          <PageHeading title={t("settings.title")} className="text-2xl font-bold sm:text-3xl" />
          <p className="text-ink-soft">
            <bdi>@{session.account.handle}</bdi>
          </p>
        </div>
      </div>
      <LinkTabs
        label={t("settings.parts")}
        current={part.id}
        tabs={PARTS.map(({ id, label }) => ({
          id,
          label: t(label),
          href: to("settings", {}, id === "account" ? {} : { part: id }),
        }))}
      />
      <section aria-label={t(part.label)}>{part.show()}</section>
    </div>
  );
}
