import { CloudOff, Search } from "lucide-react";
import type { ReactNode } from "react";
import { Problem } from "@/api/problem";
import { useI18n } from "@/i18n/i18n";
import { PageHeading } from "@/shell/PageHeading";
import { Button } from "./Button";

/** Nothing here yet, and what to do about it. */
export function EmptyState({
  title,
  children,
  action,
  icon,
  wholePage = false,
}: {
  title: string;
  /** It is all that the page shows: its title is the page's. */
  wholePage?: boolean;
  children?: ReactNode;
  action?: ReactNode;
  icon?: ReactNode;
}) {
  return (
    <div className="grid justify-items-center gap-3 px-4 py-14 text-center">
      <span className="text-line-strong" aria-hidden="true">
        {icon ?? <Search size={36} strokeWidth={1.5} />}
      </span>
      {wholePage ? (
        <PageHeading title={title} className="text-2xl font-bold" />
      ) : (
        <h2 className="text-xl font-bold">{title}</h2>
      )}
      {children && <div className="max-w-md text-ink-soft">{children}</div>}
      {action}
    </div>
  );
}

/** What failed, in plain words, with a way to try again where that may help. */
export function ErrorState({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useI18n();
  const problem = error instanceof Problem ? error : null;
  return (
    <div role="alert" className="grid justify-items-center gap-3 px-4 py-14 text-center">
      <CloudOff size={36} strokeWidth={1.5} className="text-line-strong" aria-hidden="true" />
      <p className="max-w-md text-lg font-semibold">{problemText(problem, t)}</p>
      {problem?.requestId && !problem.isPassing && (
        <p className="text-sm text-ink-soft">
          {t("shell.error_request", { id: problem.requestId })}
        </p>
      )}
      {onRetry && <Button onClick={onRetry}>{t("shell.retry")}</Button>}
    </div>
  );
}

/** The sentence for a failure; unknown codes get the general one. */
export function problemText(problem: Problem | null, t: ReturnType<typeof useI18n>["t"]): string {
  switch (problem?.code) {
    case "offline":
      return t("shell.error_offline");
    case "not_found":
      return t("shell.error_not_found");
    case "not_permitted":
      return t("shell.error_not_permitted");
    case "unauthenticated":
    case "token_expired":
      return t("shell.error_unauthenticated");
    case "rate_limited":
      return t("shell.error_rate_limited", { seconds: problem.retryAfterSeconds ?? 10 });
    case "overloaded":
    case "unavailable":
      return t("shell.error_unavailable");
    case "sent_before":
      return t("shell.error_sent_before");
    case "locked":
      return t("shell.error_locked");
    case "suspended":
      return t("shell.error_suspended");
    default:
      return t("shell.error_other");
  }
}

export function SkeletonLines({ lines = 3 }: { lines?: number }) {
  return (
    <div className="grid gap-2.5" aria-hidden="true">
      {Array.from({ length: lines }, (_, line) => (
        <span key={line} className={`skeleton h-4 ${line === lines - 1 ? "w-3/5" : "w-full"}`} />
      ))}
    </div>
  );
}

/** The shape of a list of posts before it is there. */
export function SkeletonList({ items = 5 }: { items?: number }) {
  const { t } = useI18n();
  return (
    <div>
      <p role="status" className="sr-only">
        {t("shell.loading")}
      </p>
      {Array.from({ length: items }, (_, item) => (
        <div key={item} className="grid gap-3 border-b border-line py-5">
          <span className="skeleton h-4 w-40" />
          <span className="skeleton h-6 w-11/12" />
          <SkeletonLines lines={2} />
        </div>
      ))}
    </div>
  );
}
