import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import { answer, api, type Schemas } from "@/api/client";
import { monthName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { navigate, type Params, to, useLocation, useSearch } from "@/routing/router";
import { useSession } from "@/session/session";
import { Badge } from "@/ui/Badge";
import { Button } from "@/ui/Button";
import { Select } from "@/ui/Field";
import { MoreButton } from "@/ui/MoreButton";
import { EmptyState, ErrorState, SkeletonList } from "@/ui/States";
import { kindLabel, STATUSES, type Status, statusLabel } from "@/visa/events";
import { OwnTimeline } from "@/visa/OwnTimeline";
import { TimelineForm } from "@/visa/TimelineForm";
import { VisaFrame } from "@/visa/VisaFrame";

/** What members recorded of their applications: their own in full, others by month. */
export default function TimelinesPage({ params }: { params: Params }) {
  const { t } = useI18n();
  return (
    <VisaFrame slug={params.community ?? ""} current="timelines" title={t("feed.tab_timelines")}>
      {(country, visaType) => <View country={country} visaType={visaType} />}
    </VisaFrame>
  );
}

function View({ country, visaType }: { country: string; visaType: string }) {
  const { t } = useI18n();
  const session = useSession();
  const { path } = useLocation();
  const [query, setQuery] = useSearch();
  const [isRecording, setIsRecording] = useState(false);
  const status = query.get("status") as Status | null;
  const isMember = session.status === "member";
  const mine = useQuery({
    queryKey: ["timelines", "mine", country, visaType],
    queryFn: () =>
      answer(
        api.GET("/api/v1/timelines", {
          params: { query: { mine: true, country, visa_type: visaType } },
        }),
      ),
    enabled: isMember,
  });
  const found = useInfiniteQuery({
    queryKey: ["timelines", country, visaType, status],
    queryFn: ({ pageParam }) =>
      answer(
        api.GET("/api/v1/timelines", {
          params: {
            query: {
              country,
              visa_type: visaType,
              ...(status && { status }),
              ...(pageParam && { cursor: pageParam }),
            },
          },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
  const own = new Set(mine.data?.items.map((item) => item.id));
  const items = (found.data?.pages.flatMap((page) => page.items) ?? []).filter(
    (item) => !own.has(item.id),
  );
  return (
    <div className="grid gap-5">
      {mine.data?.items.map((timeline) => (
        <OwnTimeline key={timeline.id} timeline={timeline} />
      ))}
      {isRecording ? (
        <TimelineForm
          country={country}
          visaType={visaType}
          timeline={null}
          onDone={() => setIsRecording(false)}
        />
      ) : (
        <div className="flex flex-wrap items-end justify-between gap-3">
          <Button
            look="primary"
            icon={<Plus size={18} aria-hidden="true" />}
            onClick={() =>
              isMember ? setIsRecording(true) : navigate(to("register", {}, { next: path }))
            }
          >
            {t("visa.record_timeline")}
          </Button>
          <div className="min-w-40">
            <Select
              label={t("visa.status")}
              hideLabel
              value={status ?? ""}
              onChange={(event) => setQuery({ status: event.target.value || null })}
            >
              <option value="">{t("visa.all_statuses")}</option>
              {STATUSES.map(([id, label]) => (
                <option key={id} value={id}>
                  {t(label)}
                </option>
              ))}
            </Select>
          </div>
        </div>
      )}
      {found.isPending && <SkeletonList />}
      {found.isError && items.length === 0 && (
        <ErrorState error={found.error} onRetry={() => void found.refetch()} />
      )}
      {found.isSuccess && items.length === 0 && (
        <EmptyState title={t("visa.no_timelines")}>{t("visa.no_timelines_text")}</EmptyState>
      )}
      <ul className="grid gap-3">
        {items.map((timeline) => (
          <Row key={timeline.id} timeline={timeline} />
        ))}
      </ul>
      <MoreButton list={found} />
    </div>
  );
}

function Row({ timeline }: { timeline: Schemas["Timeline"] }) {
  const { t, language } = useI18n();
  const tone = {
    approved: "leaf",
    refused: "danger",
    pending: "lamp",
    withdrawn: "plain",
  } as const;
  return (
    <li className="card grid gap-2 p-4">
      <p className="flex flex-wrap items-center gap-2">
        <Badge tone={tone[timeline.status]}>{t(statusLabel(timeline.status))}</Badge>
        <span className="text-ink-soft">{timeline.consulate ?? t("visa.consulate_hidden")}</span>
      </p>
      <ol className="flex flex-wrap gap-x-6 gap-y-1">
        {timeline.events.map((step, place) => (
          <li key={place}>
            {t(kindLabel(step.kind))}{" "}
            <span className="text-ink-soft">{monthName(step.month, language)}</span>
          </li>
        ))}
      </ol>
    </li>
  );
}
