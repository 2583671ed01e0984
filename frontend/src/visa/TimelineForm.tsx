import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Plus, Trash2 } from "lucide-react";
import { useId, useRef, useState } from "react";
import { answer, api, newKey, type Schemas } from "@/api/client";
import { Problem } from "@/api/problem";
import { useI18n } from "@/i18n/i18n";
import { Button, IconButton } from "@/ui/Button";
import { Field, Input, Select } from "@/ui/Field";
import { problemText } from "@/ui/States";
import { consulates } from "./consulates";
import { type EventKind, KINDS } from "./events";

type Timeline = Schemas["Timeline"];
type Step = { kind: EventKind; date: string };

const today = () => new Date().toISOString().slice(0, 10);

/** Records an application, or changes what was recorded. */
export function TimelineForm({
  country,
  visaType,
  timeline,
  onDone,
}: {
  country: string;
  visaType: string;
  timeline: Timeline | null;
  onDone: () => void;
}) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const list = useId();
  const key = useRef(newKey());
  const [consulate, setConsulate] = useState(timeline?.consulate ?? "");
  const [steps, setSteps] = useState<readonly Step[]>(
    timeline?.events.map(({ kind, date }) => ({ kind, date: date ?? "" })) ?? [
      { kind: "application_submitted", date: "" },
    ],
  );
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const places = useQuery(consulates(country, visaType));

  const change = (place: number, fields: Partial<Step>) =>
    setSteps(steps.map((step, at) => (at === place ? { ...step, ...fields } : step)));

  async function save() {
    setBusy(true);
    setProblem(null);
    // What is sent is in the order of its days, however it was entered.
    const events = [...steps].sort((one, other) => one.date.localeCompare(other.date));
    try {
      if (timeline === null)
        await answer(
          api.POST("/api/v1/timelines", {
            params: { header: { "Idempotency-Key": key.current } },
            body: { country, visa_type: visaType, consulate: consulate.trim(), events },
          }),
        );
      else
        await answer(
          api.PATCH("/api/v1/timelines/{timeline_id}", {
            params: { path: { timeline_id: timeline.id } },
            body: { consulate: consulate.trim(), events, revision: timeline.revision },
          }),
        );
      await queries.invalidateQueries({ queryKey: ["timelines"] });
      await queries.invalidateQueries({ queryKey: ["position"] });
      onDone();
    } catch (error) {
      key.current = newKey();
      setProblem(Problem.from(error));
    } finally {
      setBusy(false);
    }
  }

  const reasons = problem?.errors.filter(({ path }) => path.startsWith("events")) ?? [];
  return (
    <form
      className="card grid gap-4 p-4"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <h2 className="text-xl font-bold">
        {t(timeline ? "visa.change_timeline" : "visa.record_timeline")}
      </h2>
      <p className="text-sm text-ink-soft">{t("visa.privacy")}</p>
      {problem && problem.errors.length === 0 && (
        <p role="alert" className="rounded-xl bg-danger-wash p-3 text-danger">
          {problem.code === "conflict" ? t("visa.conflict") : problemText(problem, t)}
        </p>
      )}
      <Input
        label={t("visa.consulate")}
        hint={t("visa.consulate_hint")}
        value={consulate}
        required
        maxLength={80}
        dir="auto"
        list={list}
        error={problem?.reasonOf("consulate")}
        onChange={(event) => setConsulate(event.target.value)}
      />
      <datalist id={list}>
        {(places.data?.items ?? []).map(({ name }) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      <fieldset className="grid gap-3">
        <legend className="mb-1 font-semibold">{t("visa.what_happened")}</legend>
        {steps.map((step, place) => (
          <div key={place} className="grid grid-cols-[1fr_auto] items-end gap-2 sm:flex">
            <div className="col-span-2 min-w-0 flex-1">
              <Select
                label={t("visa.event")}
                hideLabel
                value={step.kind}
                disabled={place === 0}
                onChange={(event) => change(place, { kind: event.target.value as EventKind })}
              >
                {KINDS.map(([kind, label]) => (
                  <option key={kind} value={kind}>
                    {t(label)}
                  </option>
                ))}
              </Select>
            </div>
            <Field label={t("visa.day")} hideLabel>
              {({ id }) => (
                <input
                  id={id}
                  type="date"
                  required
                  max={today()}
                  value={step.date}
                  onChange={(event) => change(place, { date: event.target.value })}
                  className="min-h-12 rounded-xl border border-line-strong bg-raised px-3"
                />
              )}
            </Field>
            {place > 0 && (
              <IconButton
                label={t("visa.remove_event")}
                onClick={() => setSteps(steps.filter((_, at) => at !== place))}
              >
                <Trash2 size={19} aria-hidden="true" />
              </IconButton>
            )}
          </div>
        ))}
        {reasons.map(({ path, reason }) => (
          <p key={path} role="alert" className="text-sm font-medium text-danger">
            {reason}
          </p>
        ))}
        <Button
          size="small"
          className="min-h-10 justify-self-start"
          icon={<Plus size={17} aria-hidden="true" />}
          onClick={() => setSteps([...steps, { kind: "decision_approved", date: "" }])}
        >
          {t("visa.add_event")}
        </Button>
      </fieldset>
      <span className="flex flex-wrap justify-end gap-2">
        <Button look="quiet" onClick={onDone}>
          {t("visa.cancel")}
        </Button>
        <Button type="submit" look="primary" busy={busy}>
          {t("visa.save")}
        </Button>
      </span>
    </form>
  );
}
