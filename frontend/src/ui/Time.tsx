import { useEffect, useState } from "react";
import { ago, fullDate } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";

/** "3 hr. ago", kept up to date; the full date when pointed at. */
export function Time({ at }: { at: string }) {
  const { language } = useI18n();
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 60_000);
    return () => clearInterval(timer);
  }, []);
  return (
    <time dateTime={at} title={fullDate(at, language)} className="whitespace-nowrap">
      {ago(at, language)}
    </time>
  );
}
