/**
 * What cannot have happened so, told in the reader's language. The server judges in the end
 * (actors/timeline_rules.py) and speaks English; it names the field, and that much is translated.
 */
import type { MessageKey } from "@/i18n/sections";
import type { EventKind } from "./events";

export type Step = { kind: EventKind; date: string };
/** `place`: of the step in the form; null where it is about all of them. */
export type Fault = { place: number | null; message: MessageKey };

const ENDS: readonly EventKind[] = ["decision_approved", "decision_refused", "withdrawn"];

/** The steps by their days, each with its place in the form; those of one day as they were entered. */
export function inOrder(steps: readonly Step[]): { step: Step; place: number }[] {
  return steps
    .map((step, place) => ({ step, place }))
    .sort((one, other) => one.step.date.localeCompare(other.step.date));
}

/** What is wrong with the order of the steps; a step has one fault at most. */
export function orderFaults(steps: readonly Step[]): Fault[] {
  const faults: Fault[] = [];
  let isSubmitted = false;
  let isEnded = false;
  let isReturned = false;
  for (const { step, place } of inOrder(steps)) {
    const fault = (message: MessageKey) => faults.push({ place, message });
    if (step.kind === "application_submitted") {
      if (isSubmitted) fault("visa.fault_submitted");
      isSubmitted = true;
    } else if (!isSubmitted) fault("visa.fault_first");
    else if (step.kind === "passport_returned") {
      if (!isEnded || isReturned) fault("visa.fault_returned");
      isReturned = true;
    } else if (isEnded) fault("visa.fault_ended");
    isEnded ||= ENDS.includes(step.kind);
  }
  return faults;
}

/** What the server says of the steps, which it got in their order. */
export function serverFaults(paths: readonly string[], steps: readonly Step[]): Fault[] {
  const sent = inOrder(steps);
  return paths
    .filter((path) => path.startsWith("events"))
    .map((path) => {
      const found = /^events\[(\d+)\](\.date)?/.exec(path);
      if (!found) return { place: null, message: "visa.fault_count" };
      const place = sent[Number(found[1])]?.place ?? null;
      return { place, message: found[2] ? "visa.fault_day" : "visa.fault_kind" };
    });
}
