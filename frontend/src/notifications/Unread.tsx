import { compact } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { useUnread } from "./queries";

/** The number beside "Notifications". */
export function Unread() {
  const { t, language } = useI18n();
  const count = useUnread();
  if (count === 0) return null;
  return (
    <span className="inline-flex min-w-5 items-center justify-center rounded-full bg-lamp px-1.5 text-xs font-bold text-on-lamp">
      <span className="sr-only">{t("shell.unread", { count })}</span>
      <span aria-hidden="true">{compact(count, language)}</span>
    </span>
  );
}
