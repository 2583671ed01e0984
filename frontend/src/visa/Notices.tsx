import { Info } from "lucide-react";
import type { Schemas } from "@/api/client";
import { useI18n } from "@/i18n/i18n";
import type { MessageKey } from "@/i18n/sections";

/* Every code of actors/timeline_views.py: what is missing here would be shown in English. */
const NOTICES: Record<string, MessageKey> = {
  self_selected: "visa.notice_self_selected",
  pending_counted: "visa.notice_pending",
  withdrawn_left: "visa.notice_withdrawn",
  no_promise: "visa.notice_no_promise",
  insufficient: "visa.notice_too_few",
  consulates_grouped: "visa.notice_consulates",
  all_consulates: "visa.notice_all_consulates",
};

/** What has to be known to read figures right. */
export function Notices({ notices }: { notices: Schemas["ProcessingStatistics"]["notices"] }) {
  const { t } = useI18n();
  return (
    <ul className="grid gap-1.5 text-sm text-ink-soft">
      {notices.map((notice) => {
        const known = NOTICES[notice.code];
        return (
          <li key={notice.code} className="flex gap-2">
            <Info size={17} aria-hidden="true" className="mt-0.5 shrink-0" />
            {known ? t(known) : notice.text}
          </li>
        );
      })}
    </ul>
  );
}
