/** What happens to an application, with its names. */
import type { Schemas } from "@/api/client";
import type { MessageKey } from "@/i18n/sections";

export type EventKind = Schemas["TimelineStep"]["kind"];
export type Status = Schemas["Timeline"]["status"];

export const KINDS: readonly [EventKind, MessageKey][] = [
  ["application_submitted", "visa.application_submitted"],
  ["biometrics", "visa.biometrics"],
  ["interview", "visa.interview"],
  ["additional_documents", "visa.additional_documents"],
  ["decision_approved", "visa.decision_approved"],
  ["decision_refused", "visa.decision_refused"],
  ["withdrawn", "visa.withdrawn"],
  ["passport_returned", "visa.passport_returned"],
];

export const STATUSES: readonly [Status, MessageKey][] = [
  ["pending", "visa.pending"],
  ["approved", "visa.approved"],
  ["refused", "visa.refused"],
  ["withdrawn", "visa.withdrawn"],
];

export function kindLabel(kind: EventKind): MessageKey {
  return KINDS.find(([known]) => known === kind)?.[1] ?? "visa.other_event";
}

export function statusLabel(status: Status): MessageKey {
  return STATUSES.find(([known]) => known === status)?.[1] ?? "visa.pending";
}
