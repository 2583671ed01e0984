import { Clock, RotateCcw, TriangleAlert } from "lucide-react";
import { useI18n } from "@/i18n/i18n";
import { Button, Spinner } from "@/ui/Button";
import { problemText } from "@/ui/States";
import { discard, retry, type Unsent } from "./outbox";

/** A comment on its way: shown at once, marked until the server has it. */
export function UnsentComment({ item, depth }: { item: Unsent; depth: number }) {
  const { t } = useI18n();
  const isFailed = item.state === "failed";
  return (
    <li className="branch py-3" style={{ "--depth": depth } as React.CSSProperties}>
      <div className={`rounded-xl p-3 ${isFailed ? "bg-danger-wash" : "bg-sunken"}`}>
        <p dir="auto" className="whitespace-pre-wrap">
          {item.body}
        </p>
        <p
          role={isFailed ? "alert" : undefined}
          className={`mt-2 flex flex-wrap items-center gap-2 text-sm ${isFailed ? "text-danger" : "text-ink-soft"}`}
        >
          {item.state === "sending" && <Spinner />}
          {item.state === "waiting" && <Clock size={16} aria-hidden="true" />}
          {isFailed && <TriangleAlert size={16} aria-hidden="true" />}
          {item.state === "sending" && t("thread.sending")}
          {item.state === "waiting" && t("thread.waiting")}
          {isFailed && `${t("thread.failed")} ${problemText(item.problem ?? null, t)}`}
        </p>
        {item.state !== "sending" && (
          <span className="mt-2 flex flex-wrap gap-2">
            <Button
              size="small"
              onClick={() => retry(item.key)}
              icon={<RotateCcw size={16} aria-hidden="true" />}
            >
              {t("shell.retry")}
            </Button>
            <Button size="small" look="quiet" onClick={() => discard(item.key)}>
              {t("thread.discard")}
            </Button>
          </span>
        )}
      </div>
    </li>
  );
}
