import { useQuery, useQueryClient } from "@tanstack/react-query";
import { ExternalLink } from "lucide-react";
import { answer, api, type Schemas } from "@/api/client";
import { languageName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { navigate, type Params, to, useLocation, useSearch } from "@/routing/router";
import { useSession } from "@/session/session";
import { Select } from "@/ui/Field";
import { refuse } from "@/ui/refuse";
import { EmptyState, ErrorState, SkeletonLines } from "@/ui/States";
import { Freshness } from "@/visa/Freshness";
import { VisaFrame } from "@/visa/VisaFrame";

/** What has to be done and brought, with official sources and one's own ticks. */
export default function ChecklistPage({ params }: { params: Params }) {
  const { t } = useI18n();
  return (
    <VisaFrame slug={params.community ?? ""} current="checklist" title={t("feed.tab_checklist")}>
      {(country, visaType) => <Lists country={country} visaType={visaType} />}
    </VisaFrame>
  );
}

function Lists({ country, visaType }: { country: string; visaType: string }) {
  const { t, language } = useI18n();
  const [query, setQuery] = useSearch();
  const found = useQuery({
    queryKey: ["checklists", country, visaType],
    queryFn: () =>
      answer(
        api.GET("/api/v1/checklists", { params: { query: { country, visa_type: visaType } } }),
      ),
  });
  if (found.isPending) return <SkeletonLines lines={6} />;
  if (found.isError) return <ErrorState error={found.error} onRetry={() => void found.refetch()} />;
  const lists = found.data.items;
  const shown =
    lists.find((list) => list.id === query.get("list")) ??
    lists.find((list) => list.language === language) ??
    lists[0];
  if (!shown)
    return <EmptyState title={t("visa.no_checklist")}>{t("visa.no_checklist_text")}</EmptyState>;
  return (
    <div className="grid gap-4">
      {lists.length > 1 && (
        <Select
          label={t("visa.which_checklist")}
          value={shown.id}
          onChange={(event) => setQuery({ list: event.target.value })}
        >
          {lists.map((list) => (
            <option key={list.id} value={list.id}>
              {`${list.title} (${languageName(list.language, language)})`}
            </option>
          ))}
        </Select>
      )}
      <One key={shown.id} id={shown.id} />
    </div>
  );
}

function One({ id }: { id: string }) {
  const { t } = useI18n();
  const session = useSession();
  const queries = useQueryClient();
  const { path } = useLocation();
  const isMember = session.status === "member";
  const progressKey = ["checklist-progress", id];
  const list = useQuery({
    queryKey: ["checklist", id],
    queryFn: () =>
      answer(
        api.GET("/api/v1/checklists/{checklist_id}", { params: { path: { checklist_id: id } } }),
      ),
  });
  const progress = useQuery({
    queryKey: progressKey,
    queryFn: () =>
      answer(
        api.GET("/api/v1/me/checklists/{checklist_id}", { params: { path: { checklist_id: id } } }),
      ),
    enabled: isMember,
  });
  if (list.isPending) return <SkeletonLines lines={8} />;
  if (list.isError) return <ErrorState error={list.error} onRetry={() => void list.refetch()} />;
  const done = new Set(progress.data?.items.map((item) => item.item_id));

  async function tick(item: string, isDone: boolean) {
    if (!isMember) {
      navigate(to("register", {}, { next: path }));
      return;
    }
    const before = queries.getQueryData<Schemas["ChecklistProgress"]>(progressKey);
    if (before)
      queries.setQueryData(progressKey, {
        ...before,
        items: isDone
          ? [...before.items, { item_id: item, done_at: new Date().toISOString() }]
          : before.items.filter((other) => other.item_id !== item),
      });
    try {
      const after = await answer(
        api.PUT("/api/v1/me/checklists/{checklist_id}/items/{item_id}", {
          params: { path: { checklist_id: id, item_id: item } },
          body: { done: isDone },
        }),
      );
      queries.setQueryData(progressKey, after);
    } catch (error) {
      queries.setQueryData(progressKey, before);
      refuse(error);
    }
  }

  const { items, title, language } = list.data;
  return (
    <section aria-label={title} className="grid gap-4">
      <h2 dir="auto" lang={language} className="text-xl font-bold">
        {title}
      </h2>
      <div className="grid gap-1.5">
        <p className="text-ink-soft">
          {isMember
            ? t("visa.progress", { done: done.size, total: items.length })
            : t("visa.progress_guest")}
        </p>
        <div className="h-2 overflow-hidden rounded-full bg-sunken" aria-hidden="true">
          <div
            className="h-full bg-leaf"
            style={{ width: `${(100 * done.size) / Math.max(1, items.length)}%` }}
          />
        </div>
      </div>
      <ul className="grid gap-2">
        {items.map((item) => (
          <li key={item.id} className="card flex gap-3 p-3">
            <input
              id={`item-${item.id}`}
              type="checkbox"
              checked={done.has(item.id)}
              // A tick before the others are known would be taken back by them.
              disabled={isMember && !progress.data}
              onChange={(event) => void tick(item.id, event.target.checked)}
              className="mt-1 size-6 shrink-0 accent-(--leaf)"
            />
            <div className="min-w-0">
              <label
                htmlFor={`item-${item.id}`}
                dir="auto"
                lang={language}
                className={done.has(item.id) ? "text-ink-soft line-through" : ""}
              >
                {item.text}
              </label>
              {item.source && (
                <p className="mt-1 flex flex-wrap items-center gap-2 text-sm">
                  <a
                    href={item.source.url}
                    target="_blank"
                    rel="noreferrer"
                    className="link inline-flex min-h-6 items-center gap-1"
                  >
                    <ExternalLink size={15} aria-hidden="true" />
                    {new URL(item.source.url).hostname}
                  </a>
                  <Freshness link={item.source} />
                </p>
              )}
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}
