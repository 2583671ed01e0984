import { Problem } from "@/api/problem";
import { t } from "@/i18n/i18n";
import { problemText } from "./States";
import { toast } from "./Toasts";

/** Says why something that was done could not be; what was shown in advance is the caller's to undo. */
export function refuse(error: unknown): void {
  toast(problemText(Problem.from(error), t), { tone: "danger" });
}
