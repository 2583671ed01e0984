import { useQuery, useQueryClient } from "@tanstack/react-query";
import { MapPin, Pencil, Trash2 } from "lucide-react";
import { useState } from "react";
import { answer, api, type Schemas } from "@/api/client";
import { day } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { Badge } from "@/ui/Badge";
import { Button } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { refuse } from "@/ui/refuse";
import { kindLabel, statusLabel } from "./events";
import { band, percent } from "./figures";
import { Notices } from "./Notices";
import { TimelineForm } from "./TimelineForm";

/** What the member recorded of their own application, and where it stands. */
export function OwnTimeline({ timeline }: { timeline: Schemas["Timeline"] }) {
  const { t, language } = useI18n();
  const queries = useQueryClient();
  const [doing, setDoing] = useState<"nothing" | "edit" | "delete">("nothing");
  async function remove() {
    setDoing("nothing");
    try {
      await answer(
        api.DELETE("/api/v1/timelines/{timeline_id}", {
          params: { path: { timeline_id: timeline.id } },
        }),
      );
      await queries.invalidateQueries({ queryKey: ["timelines"] });
    } catch (error) {
      refuse(error);
    }
  }
  if (doing === "edit")
    return (
      <TimelineForm
        country={timeline.country}
        visaType={timeline.visa_type}
        timeline={timeline}
        onDone={() => setDoing("nothing")}
      />
    );
  return (
    <article className="card grid gap-3 border-tile p-4" aria-label={t("visa.yours")}>
      <p className="flex flex-wrap items-center gap-2">
        <strong>{t("visa.yours")}</strong>
        <Badge tone="tile">{t(statusLabel(timeline.status))}</Badge>
        <span className="text-ink-soft">{timeline.consulate}</span>
        {timeline.days !== null && (
          <span className="text-ink-soft">{t("visa.days", { count: timeline.days })}</span>
        )}
      </p>
      <ol className="grid gap-1">
        {timeline.events.map((step, place) => (
          <li key={place} className="flex flex-wrap justify-between gap-2">
            <span>{t(kindLabel(step.kind))}</span>
            <span className="text-ink-soft">{step.date && day(step.date, language)}</span>
          </li>
        ))}
      </ol>
      {timeline.status === "pending" && <Position id={timeline.id} />}
      <span className="flex flex-wrap gap-2">
        <Button
          size="small"
          className="min-h-10"
          icon={<Pencil size={17} aria-hidden="true" />}
          onClick={() => setDoing("edit")}
        >
          {t("visa.change")}
        </Button>
        <Button
          size="small"
          look="quiet"
          className="min-h-10"
          icon={<Trash2 size={17} aria-hidden="true" />}
          onClick={() => setDoing("delete")}
        >
          {t("visa.delete")}
        </Button>
      </span>
      <Dialog
        open={doing === "delete"}
        title={t("visa.delete_title")}
        onClose={() => setDoing("nothing")}
      >
        <p>{t("visa.delete_text")}</p>
        <span className="flex justify-end gap-2">
          <Button onClick={() => setDoing("nothing")}>{t("visa.cancel")}</Button>
          <Button look="danger" onClick={() => void remove()}>
            {t("visa.delete")}
          </Button>
        </span>
      </Dialog>
    </article>
  );
}

/* The text itself says it. */
const SAID = new Set(["insufficient", "all_consulates"]);

/** Of comparable cases: how many were decided by now, how much longer the others took, and which
 *  cases these are. */
function Position({ id }: { id: string }) {
  const { t, language } = useI18n();
  const found = useQuery({
    queryKey: ["position", id],
    queryFn: () =>
      answer(
        api.GET("/api/v1/timelines/{timeline_id}/position", {
          params: { path: { timeline_id: id } },
        }),
      ),
  });
  if (!found.data) return null;
  const { sufficient, decided_share, remaining, n, compared_with, notices } = found.data;
  const { decided_share_lower: lower, decided_share_upper: upper } = found.data;
  const consulate = compared_with.consulate;
  return (
    <div className="flex gap-2 rounded-xl bg-tile-wash p-3">
      <MapPin size={20} aria-hidden="true" className="mt-0.5 shrink-0 text-tile" />
      <div className="grid min-w-0 gap-2">
        <p>
          {!sufficient || decided_share === null
            ? t("visa.position_few", { count: n })
            : t("visa.position", {
                share: percent(decided_share, language),
                days: found.data.waited_days,
              })}
          {lower !== null &&
            upper !== null &&
            ` ${t("visa.position_band", { lower: percent(lower, language), upper: percent(upper, language) })}`}
          {remaining.p50_days !== null &&
            ` ${t("visa.remaining", { days: remaining.p50_days })} (${band(remaining.ci.p50, t, language)})`}
        </p>
        <p>
          {consulate === null
            ? t("visa.notice_all_consulates")
            : t("visa.compared", { consulate, count: n })}
        </p>
        <Notices notices={notices.filter(({ code }) => !SAID.has(code))} />
      </div>
    </div>
  );
}
