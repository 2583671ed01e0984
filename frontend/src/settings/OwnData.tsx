import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Download, Trash2 } from "lucide-react";
import { useState } from "react";
import { answer, api } from "@/api/client";
import { API_ORIGIN } from "@/api/origin";
import { Problem } from "@/api/problem";
import { day } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { navigate } from "@/routing/router";
import { endSession } from "@/session/session";
import { Button, ButtonLink } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { Input } from "@/ui/Field";
import { refuse } from "@/ui/refuse";
import { problemText } from "@/ui/States";
import { toast } from "@/ui/Toasts";

const LOOK_MS = 2_000;

/** Everything of the member's as one file, and the way out. */
export function OwnData() {
  return (
    <div className="grid gap-6">
      <ExportData />
      <DeleteAccount />
    </div>
  );
}

function ExportData() {
  const { t, language } = useI18n();
  const queries = useQueryClient();
  const [isAsked, setIsAsked] = useState(false);
  const key = ["export"];
  const found = useQuery({
    queryKey: key,
    queryFn: () => answer(api.GET("/api/v1/me/export")),
    enabled: isAsked,
    refetchInterval: (query) => {
      const status = query.state.data?.status;
      return status === "queued" || status === "running" ? LOOK_MS : false;
    },
  });
  async function start() {
    try {
      queries.setQueryData(key, await answer(api.POST("/api/v1/me/export")));
      setIsAsked(true);
    } catch (error) {
      refuse(error);
    }
  }
  const made = isAsked ? found.data : undefined;
  const isMaking = made?.status === "queued" || made?.status === "running";
  return (
    <section aria-labelledby="export" className="grid justify-items-start gap-2">
      <h3 id="export" className="text-lg font-bold">
        {t("settings.export")}
      </h3>
      <p className="text-ink-soft">{t("settings.export_text")}</p>
      {made?.status === "done" && made.download_url ? (
        <ButtonLink
          href={API_ORIGIN + made.download_url}
          download
          target="_blank"
          look="primary"
          icon={<Download size={18} aria-hidden="true" />}
        >
          {t("settings.export_ready", {
            day: made.expires_at ? day(made.expires_at, language) : "",
          })}
        </ButtonLink>
      ) : (
        <Button busy={isMaking} onClick={() => void start()}>
          {t(isMaking ? "settings.export_running" : "settings.export_start")}
        </Button>
      )}
      {made?.status === "failed" && (
        <p role="alert" className="text-danger">
          {t("settings.export_failed")}
        </p>
      )}
    </section>
  );
}

function DeleteAccount() {
  const { t } = useI18n();
  const [open, setOpen] = useState(false);
  const [password, setPassword] = useState("");
  const [erase, setErase] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  async function remove() {
    setBusy(true);
    setProblem(null);
    try {
      await answer(api.DELETE("/api/v1/me", { body: { password, erase_content: erase } }));
      endSession();
      navigate("/", { replace: true });
      toast(t("settings.deleted"));
    } catch (error) {
      setProblem(Problem.from(error));
      setBusy(false);
    }
  }
  return (
    <section aria-labelledby="delete" className="grid justify-items-start gap-2">
      <h3 id="delete" className="text-lg font-bold">
        {t("settings.delete")}
      </h3>
      <p className="text-ink-soft">{t("settings.delete_text")}</p>
      <Button
        look="danger"
        icon={<Trash2 size={18} aria-hidden="true" />}
        onClick={() => setOpen(true)}
      >
        {t("settings.delete")}
      </Button>
      <Dialog open={open} title={t("settings.delete_title")} onClose={() => setOpen(false)}>
        <form
          className="grid gap-4"
          onSubmit={(event) => {
            event.preventDefault();
            void remove();
          }}
        >
          <Input
            label={t("settings.password")}
            type="password"
            autoComplete="current-password"
            required
            value={password}
            error={
              problem
                ? problem.code === "invalid_credentials"
                  ? t("settings.password_wrong")
                  : problemText(problem, t)
                : undefined
            }
            onChange={(event) => setPassword(event.target.value)}
          />
          <label className="flex gap-3">
            <input
              type="checkbox"
              checked={erase}
              onChange={(event) => setErase(event.target.checked)}
              className="mt-1 size-5 accent-(--tile)"
            />
            {t("settings.erase_content")}
          </label>
          <span className="flex flex-wrap justify-end gap-2">
            <Button onClick={() => setOpen(false)}>{t("settings.cancel")}</Button>
            <Button type="submit" look="danger" busy={busy} disabled={!password}>
              {t("settings.delete")}
            </Button>
          </span>
        </form>
      </Dialog>
    </section>
  );
}
