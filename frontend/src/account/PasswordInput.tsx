import { Eye, EyeOff } from "lucide-react";
import { type ReactNode, useState } from "react";
import { useI18n } from "@/i18n/i18n";
import { IconButton } from "@/ui/Button";
import { Field } from "@/ui/Field";

/** A password that can be looked at: on a phone, typing blind is how people lock themselves out. */
export function PasswordInput({
  autoComplete,
  minLength,
  hint,
  error,
}: {
  autoComplete: "current-password" | "new-password";
  minLength?: number;
  hint?: ReactNode;
  error?: string;
}) {
  const { t } = useI18n();
  const [shown, setShown] = useState(false);
  return (
    <Field label={t("account.password")} hint={hint} error={error}>
      {({ id, describedBy, invalid }) => (
        <span className="relative block">
          <input
            id={id}
            name="password"
            type={shown ? "text" : "password"}
            dir="ltr"
            autoComplete={autoComplete}
            minLength={minLength}
            required
            aria-describedby={describedBy}
            aria-invalid={invalid || undefined}
            className={`min-h-12 w-full rounded-xl border bg-raised ps-3.5 pe-12 text-base ${invalid ? "border-danger" : "border-line-strong"}`}
          />
          <span className="absolute end-0.5 top-0.5">
            <IconButton
              label={t(shown ? "account.hide_password" : "account.show_password")}
              aria-pressed={shown}
              onClick={() => setShown(!shown)}
            >
              {shown ? (
                <EyeOff size={20} aria-hidden="true" />
              ) : (
                <Eye size={20} aria-hidden="true" />
              )}
            </IconButton>
          </span>
        </span>
      )}
    </Field>
  );
}
