import type { ReactNode } from "react";
import { CommunityFrame } from "@/feed/CommunityFrame";
import { useI18n } from "@/i18n/i18n";
import { EmptyState } from "@/ui/States";

/** A part that only communities of one visa have. */
export function VisaFrame({
  slug,
  current,
  title,
  children,
}: {
  slug: string;
  current: string;
  title: string;
  children: (country: string, visaType: string) => ReactNode;
}) {
  const { t } = useI18n();
  return (
    <CommunityFrame slug={slug} current={current} title={title}>
      {({ country, visa_type }) =>
        country && visa_type ? (
          children(country, visa_type)
        ) : (
          <EmptyState title={t("visa.only_visas")} />
        )
      }
    </CommunityFrame>
  );
}
