import { X } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef } from "react";
import { useI18n } from "@/i18n/i18n";
import { IconButton } from "./Button";

/** The browser's own modal dialog: it keeps the focus inside, closes on Escape and gives it back. */
export function Dialog({
  open,
  title,
  onClose,
  children,
}: {
  open: boolean;
  title: string;
  onClose: () => void;
  children: ReactNode;
}) {
  const { t } = useI18n();
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    if (!element) return;
    if (open && !element.open) element.showModal();
    if (!open && element.open) element.close();
  }, [open]);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: a click beside it closes; keys have Escape.
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onClose={onClose}
      onClick={(event) => event.target === event.currentTarget && dialog.current?.close()}
      className="m-auto max-h-[85dvh] w-[min(32rem,calc(100vw-2rem))] rounded-2xl border border-line bg-raised p-0 text-ink shadow-card"
    >
      {open && (
        <div className="grid gap-4 p-5">
          <div className="flex items-start justify-between gap-3">
            <h2 id={id} className="pt-2 text-xl font-bold">
              {title}
            </h2>
            <IconButton label={t("shell.close")} onClick={() => dialog.current?.close()}>
              <X size={20} aria-hidden="true" />
            </IconButton>
          </div>
          {children}
        </div>
      )}
    </dialog>
  );
}
