import { LogIn, UserRound } from "lucide-react";
import { useI18n } from "@/i18n/i18n";
import { Unread } from "@/notifications/Unread";
import { Link } from "@/routing/Link";
import { maybeTo, to } from "@/routing/router";
import { useSession } from "@/session/session";
import { places } from "./navigation";

const LOOK =
  "flex min-h-14 min-w-0 flex-auto flex-col items-center justify-center gap-0.5 px-1 text-xs font-semibold text-ink-soft aria-[current]:text-tile";

/** On phones, where the thumb is. */
export function BottomNavigation() {
  const { t } = useI18n();
  const session = useSession();
  const isMember = session.status === "member";
  const own = isMember && maybeTo("settings");
  return (
    <nav
      aria-label={t("shell.places")}
      className="fixed inset-x-0 bottom-0 z-30 border-t border-line bg-raised pb-[env(safe-area-inset-bottom)] md:hidden"
    >
      <div className="flex">
        {places(isMember).map(({ page, label, short, icon: Icon }) => (
          <Link key={page} href={to(page)} className={LOOK}>
            <span className="relative">
              <Icon size={22} aria-hidden="true" />
              {page === "notifications" && (
                <span className="absolute -end-3 -top-1.5">
                  <Unread />
                </span>
              )}
            </span>
            <span className="max-w-full truncate">{t(short ?? label)}</span>
          </Link>
        ))}
        {!isMember && (
          <Link href={to("login")} className={LOOK}>
            <LogIn size={22} aria-hidden="true" />
            <span className="max-w-full truncate">{t("shell.sign_in")}</span>
          </Link>
        )}
        {own && (
          <Link href={own} className={LOOK}>
            <UserRound size={22} aria-hidden="true" />
            <span className="max-w-full truncate">{t("shell.you")}</span>
          </Link>
        )}
      </div>
    </nav>
  );
}
