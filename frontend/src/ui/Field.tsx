import { ChevronDown } from "lucide-react";
import {
  type InputHTMLAttributes,
  type ReactNode,
  type SelectHTMLAttributes,
  type TextareaHTMLAttributes,
  useId,
} from "react";

const CONTROL =
  "w-full rounded-xl border bg-raised px-3.5 text-base text-ink placeholder:text-ink-soft disabled:opacity-60";

type Shared = {
  label: string;
  hint?: ReactNode;
  /** What is wrong with it, from the form or from the server. */
  error?: string;
  /** The label is for screen readers alone: the place says what it is. */
  hideLabel?: boolean;
};

type Ids = { id: string; describedBy: string | undefined; invalid: boolean };

/** Label, hint and error around any control, tied to it by ids. */
export function Field({
  label,
  hint,
  error,
  hideLabel,
  children,
}: Shared & { children: (ids: Ids) => ReactNode }) {
  const id = useId();
  const describedBy = [hint ? `${id}-hint` : "", error ? `${id}-error` : ""]
    .filter(Boolean)
    .join(" ");
  return (
    <div className="grid gap-1.5">
      <label htmlFor={id} className={hideLabel ? "sr-only" : "font-semibold"}>
        {label}
      </label>
      {children({ id, describedBy: describedBy || undefined, invalid: Boolean(error) })}
      {hint && (
        <p id={`${id}-hint`} className="text-sm text-ink-soft">
          {hint}
        </p>
      )}
      {error && (
        <p id={`${id}-error`} className="text-sm font-medium text-danger">
          {error}
        </p>
      )}
    </div>
  );
}

const border = (invalid: boolean) => (invalid ? "border-danger" : "border-line-strong");

export function Input({
  label,
  hint,
  error,
  hideLabel,
  className = "",
  ...rest
}: InputHTMLAttributes<HTMLInputElement> & Shared) {
  return (
    <Field label={label} hint={hint} error={error} hideLabel={hideLabel}>
      {({ id, describedBy, invalid }) => (
        <input
          {...rest}
          id={id}
          aria-describedby={describedBy}
          aria-invalid={invalid || undefined}
          className={`${CONTROL} min-h-12 ${border(invalid)} ${className}`}
        />
      )}
    </Field>
  );
}

export function Textarea({
  label,
  hint,
  error,
  hideLabel,
  className = "",
  ...rest
}: TextareaHTMLAttributes<HTMLTextAreaElement> & Shared) {
  return (
    <Field label={label} hint={hint} error={error} hideLabel={hideLabel}>
      {({ id, describedBy, invalid }) => (
        <textarea
          dir="auto"
          {...rest}
          id={id}
          aria-describedby={describedBy}
          aria-invalid={invalid || undefined}
          className={`${CONTROL} min-h-28 py-3 leading-relaxed ${border(invalid)} ${className}`}
        />
      )}
    </Field>
  );
}

export function Select({
  label,
  hint,
  error,
  hideLabel,
  children,
  className = "",
  ...rest
}: SelectHTMLAttributes<HTMLSelectElement> & Shared & { children: ReactNode }) {
  return (
    <Field label={label} hint={hint} error={error} hideLabel={hideLabel}>
      {({ id, describedBy, invalid }) => (
        <span className="relative block">
          <select
            {...rest}
            id={id}
            aria-describedby={describedBy}
            aria-invalid={invalid || undefined}
            className={`${CONTROL} min-h-12 appearance-none pe-10 ${border(invalid)} ${className}`}
          >
            {children}
          </select>
          <ChevronDown
            size={20}
            aria-hidden="true"
            className="pointer-events-none absolute end-3 top-3.5 text-ink-soft"
          />
        </span>
      )}
    </Field>
  );
}
