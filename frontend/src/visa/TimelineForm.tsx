import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Plus, Trash2 } from "lucide-react";
import { useId, useRef, useState } from "react";
import { answer, api, type Schemas } from "@/api/client";
import { Problem } from "@/api/problem";
import { afterFailure, firstTry } from "@/api/tries";
import { useI18n } from "@/i18n/i18n";
import { Button, IconButton } from "@/ui/Button";
import { Field, Input, Select } from "@/ui/Field";
import { problemText } from "@/ui/States";
import { consulates } from "./consulates";
import { type EventKind, KINDS } from "./events";
import { type Fault, inOrder, orderFaults, type Step, serverFaults } from "./timelineRules";

type Timeline = Schemas["Timeline"];

/* As the reader's calendar has it: Swedish writes days as ISO does. */
const today = () => new Date().toLocaleDateString("sv-SE");

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
  const tries = useRef(firstTry());
  const [consulate, setConsulate] = useState(timeline?.consulate ?? "");
  const [steps, setSteps] = useState<readonly Step[]>(
    timeline?.events.map(({ kind, date }) => ({ kind, date: date ?? "" })) ?? [
      { kind: "application_submitted", date: "" },
    ],
  );
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [faults, setFaults] = useState<readonly Fault[]>([]);
  const places = useQuery(consulates(country, visaType));

  const change = (place: number, fields: Partial<Step>) =>
    setSteps(steps.map((step, at) => (at === place ? { ...step, ...fields } : step)));

  function remove(place: number) {
    setSteps(steps.filter((_, at) => at !== place));
    // The places of those below are others now: all of it is judged anew.
    setFaults([]);
    setProblem(null);
  }

  async function save() {
    setProblem(null);
    const found = orderFaults(steps);
    setFaults(found);
    if (found.length > 0) return;
    setBusy(true);
    // What is sent is in the order of its days, however it was entered.
    const events = inOrder(steps).map(({ step }) => step);
    try {
      if (timeline === null)
        await answer(
          api.POST("/api/v1/timelines", {
            params: { header: { "Idempotency-Key": tries.current.key } },
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
      const { tries: next, problem: failed } = afterFailure(tries.current, Problem.from(error));
      tries.current = next;
      // What an earlier try has recorded stands above the form then.
      if (failed.code === "sent_before")
        await queries.invalidateQueries({ queryKey: ["timelines"] });
      setProblem(failed);
      const paths = failed.errors.map(({ path }) => path);
      setFaults(serverFaults(paths, steps));
    } finally {
      setBusy(false);
    }
  }

  const isConsulateWrong = problem?.reasonOf("consulate") !== undefined;
  const conflict = timeline === null ? "visa.too_many" : "visa.conflict";
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
      {problem && !isConsulateWrong && faults.length === 0 && (
        <p role="alert" className="rounded-xl bg-danger-wash p-3 text-danger">
          {problem.code === "conflict" ? t(conflict) : problemText(problem, t)}
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
        error={isConsulateWrong ? t("visa.fault_consulate") : undefined}
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
          <div key={place} className="grid gap-1.5">
            <div className="grid grid-cols-[1fr_auto] items-end gap-2 sm:flex">
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
                <IconButton label={t("visa.remove_event")} onClick={() => remove(place)}>
                  <Trash2 size={19} aria-hidden="true" />
                </IconButton>
              )}
            </div>
            <Reasons faults={faults} place={place} />
          </div>
        ))}
        <Reasons faults={faults} place={null} />
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

function Reasons({ faults, place }: { faults: readonly Fault[]; place: number | null }) {
  const { t } = useI18n();
  return faults
    .filter((fault) => fault.place === place)
    .map(({ message }) => (
      <p key={message} role="alert" className="text-sm font-medium text-danger">
        {t(message)}
      </p>
    ));
}
