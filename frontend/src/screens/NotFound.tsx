import { useI18n } from "@/i18n/i18n";
import { to } from "@/routing/router";
import { PageHeading } from "@/shell/PageHeading";
import { ButtonLink } from "@/ui/Button";

export default function NotFound() {
  const { t } = useI18n();
  return (
    <div className="grid justify-items-center gap-4 py-16 text-center">
      <PageHeading title={t("shell.not_found_title")} />
      <p className="max-w-md text-ink-soft">{t("shell.not_found_text")}</p>
      <ButtonLink href={to("home")} look="primary">
        {t("shell.home")}
      </ButtonLink>
    </div>
  );
}
