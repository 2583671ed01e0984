import { Eye, PenLine } from "lucide-react";
import { useI18n } from "@/i18n/i18n";

const NAMED = 2;

/** Who is here: how many read, and who writes. Its room is always there, so nothing moves. */
export function Readers({ readers, typing }: { readers: number; typing: readonly string[] }) {
  const { t } = useI18n();
  return (
    <p className="flex min-h-6 flex-wrap items-center gap-x-4 text-sm text-ink-soft">
      {readers > 1 && (
        <span className="inline-flex items-center gap-1.5">
          <Eye size={16} aria-hidden="true" />
          {t("thread.readers", { count: readers })}
        </span>
      )}
      {typing.length > 0 && (
        <span className="inline-flex items-center gap-1.5">
          <PenLine size={16} aria-hidden="true" className="animate-pulse" />
          {t("thread.typing", {
            count: typing.length,
            names: typing
              .slice(0, NAMED)
              .map((handle) => `@${handle}`)
              .join(", "),
          })}
        </span>
      )}
    </p>
  );
}
