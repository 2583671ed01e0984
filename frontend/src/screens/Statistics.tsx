import { useQuery } from "@tanstack/react-query";
import { Download } from "lucide-react";
import { useState } from "react";
import { answer, api, type Schemas } from "@/api/client";
import { API_ORIGIN } from "@/api/origin";
import { integer, monthName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { type Params, useSearch } from "@/routing/router";
import { ButtonLink } from "@/ui/Button";
import { Input, Select } from "@/ui/Field";
import { EmptyState, ErrorState, SkeletonLines } from "@/ui/States";
import { Curve } from "@/visa/Curve";
import { consulates } from "@/visa/consulates";
import { band, percent } from "@/visa/figures";
import { Notices } from "@/visa/Notices";
import { VisaFrame } from "@/visa/VisaFrame";

const MONTH = /^\d{4}-\d\d$/;

/** How long it took others, pending cases counted; by consulate and by when they applied. */
export default function StatisticsPage({ params }: { params: Params }) {
  const { t } = useI18n();
  return (
    <VisaFrame slug={params.community ?? ""} current="statistics" title={t("feed.tab_statistics")}>
      {(country, visaType) => <View country={country} visaType={visaType} />}
    </VisaFrame>
  );
}

function View({ country, visaType }: { country: string; visaType: string }) {
  const { t } = useI18n();
  const [query, setQuery] = useSearch();
  const asked = {
    country,
    visa_type: visaType,
    ...Object.fromEntries(
      ["consulate", "from", "to"].flatMap((name) => {
        const value = query.get(name);
        return value ? [[name, value]] : [];
      }),
    ),
  };
  const places = useQuery(consulates(country, visaType));
  const found = useQuery({
    queryKey: ["statistics", asked],
    queryFn: () => answer(api.GET("/api/v1/timelines/statistics", { params: { query: asked } })),
    placeholderData: (before) => before,
  });
  return (
    <div className="grid gap-6 *:min-w-0">
      <div className="grid gap-3 sm:grid-cols-3">
        <Select
          label={t("visa.consulate")}
          value={query.get("consulate") ?? ""}
          onChange={(event) => setQuery({ consulate: event.target.value || null })}
        >
          <option value="">{t("visa.all_consulates")}</option>
          {(places.data?.items ?? []).map(({ name, timelines }) => (
            <option key={name} value={name}>
              {`${name} (${timelines})`}
            </option>
          ))}
        </Select>
        <MonthInput
          label={t("visa.applied_from")}
          month={query.get("from")}
          onChange={(from) => setQuery({ from })}
        />
        <MonthInput
          label={t("visa.applied_to")}
          month={query.get("to")}
          onChange={(to) => setQuery({ to })}
        />
      </div>
      {found.isPending && <SkeletonLines lines={6} />}
      {found.isError && <ErrorState error={found.error} onRetry={() => void found.refetch()} />}
      {found.data && (
        <Figures
          statistics={found.data}
          csv={`${API_ORIGIN}/api/v1/timelines/statistics.csv?${new URLSearchParams(asked)}`}
        />
      )}
    </div>
  );
}

/** Some browsers have a field of text in place of one for months: what is typed there is a question
 *  only once it is a month. */
function MonthInput({
  label,
  month,
  onChange,
}: {
  label: string;
  month: string | null;
  onChange: (month: string | null) => void;
}) {
  const [unfinished, setUnfinished] = useState<string | null>(null);
  return (
    <Input
      label={label}
      type="month"
      placeholder="2026-03"
      value={unfinished ?? month ?? ""}
      onChange={({ target: { value } }) => {
        const isFinished = value === "" || MONTH.test(value);
        setUnfinished(isFinished ? null : value);
        if (isFinished) onChange(value || null);
      }}
    />
  );
}

function Figures({
  statistics,
  csv,
}: {
  statistics: Schemas["ProcessingStatistics"];
  csv: string;
}) {
  const { t, language } = useI18n();
  const { n, events, pending, sample, sufficient, curve } = statistics;
  return (
    <div className="grid gap-6 *:min-w-0">
      <p className="text-ink-soft">
        {t("visa.cases", { count: n })}{" "}
        {n > 0 && t("visa.decided_pending", { decided: events, pending })}{" "}
        {sample &&
          t("visa.sample", {
            first: monthName(sample.from, language),
            last: monthName(sample.to, language),
          })}
      </p>
      {sufficient ? (
        <>
          <dl className="grid gap-3 sm:grid-cols-3">
            <Quantile
              label={t("visa.quarter")}
              days={statistics.p25_days}
              bounds={statistics.ci.p25}
            />
            <Quantile
              label={t("visa.half")}
              days={statistics.p50_days}
              bounds={statistics.ci.p50}
            />
            <Quantile
              label={t("visa.four_fifths")}
              days={statistics.p80_days}
              bounds={statistics.ci.p80}
            />
          </dl>
          <section className="card grid gap-3 p-4 *:min-w-0" aria-label={t("visa.chart")}>
            <h2 className="text-lg font-bold">{t("visa.chart")}</h2>
            <Curve points={curve} />
            <details>
              <summary className="min-h-11 py-2 font-semibold text-tile">
                {t("visa.as_table")}
              </summary>
              <Table curve={curve} />
            </details>
            <ButtonLink
              href={csv}
              target="_blank"
              download
              className="justify-self-start"
              icon={<Download size={18} aria-hidden="true" />}
            >
              {t("visa.csv")}
            </ButtonLink>
          </section>
        </>
      ) : (
        <EmptyState title={t("visa.too_few")}>{t("visa.too_few_text")}</EmptyState>
      )}
      <Notices notices={statistics.notices} />
    </div>
  );
}

function Quantile({
  label,
  days,
  bounds,
}: {
  label: string;
  days: number | null;
  bounds: Schemas["DayBounds"];
}) {
  const { t, language } = useI18n();
  return (
    <div className="card p-4">
      <dt className="text-sm text-ink-soft">{label}</dt>
      <dd className="mt-1 font-display text-2xl font-bold">
        {days === null ? t("visa.not_reached") : t("visa.days", { count: days })}
      </dd>
      <dd className="text-sm text-ink-soft">{band(bounds, t, language)}</dd>
    </div>
  );
}

function Table({ curve }: { curve: readonly Schemas["CurvePoint"][] }) {
  const { t, language } = useI18n();
  const decided = (waiting: number) => percent(1 - waiting, language);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys.
    <section className="overflow-x-auto" aria-label={t("visa.as_table")} tabIndex={0}>
      <table className="w-full text-start text-sm">
        <thead>
          <tr className="border-b border-line-strong">
            {(
              [
                "visa.days_since",
                "visa.decided_share",
                "visa.lower_bound",
                "visa.upper_bound",
                "visa.at_risk",
              ] as const
            ).map((key) => (
              <th key={key} scope="col" className="px-2 py-2 text-start font-semibold">
                {t(key)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {curve.map((point) => (
            <tr key={point.days} className="border-b border-line">
              <td className="px-2 py-1.5">{integer(point.days, language)}</td>
              <td className="px-2 py-1.5">{decided(point.waiting)}</td>
              <td className="px-2 py-1.5">{decided(point.upper)}</td>
              <td className="px-2 py-1.5">{decided(point.lower)}</td>
              <td className="px-2 py-1.5">{integer(point.at_risk, language)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
