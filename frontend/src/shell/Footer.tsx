import { useI18n } from "@/i18n/i18n";

export function Footer() {
  const { t } = useI18n();
  return (
    <footer className="hidden border-t border-line py-8 text-sm text-ink-soft md:block">
      <div className="page flex flex-wrap justify-between gap-4">
        <p>{t("shell.not_legal_advice")}</p>
        <a className="link" href="/api/docs">
          API
        </a>
      </div>
    </footer>
  );
}
