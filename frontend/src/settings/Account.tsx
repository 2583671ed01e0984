import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { answer, api, type Schemas } from "@/api/client";
import { Problem } from "@/api/problem";
import { languageName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import type { MessageKey } from "@/i18n/sections";
import { refreshSession } from "@/session/session";
import { Button } from "@/ui/Button";
import { Input, Select } from "@/ui/Field";
import { ErrorState, problemText, SkeletonLines } from "@/ui/States";
import { toast } from "@/ui/Toasts";

type Me = Schemas["Me"];
type Level = Me["default_follow_level"];

const LEVELS: [Level, MessageKey][] = [
  ["all", "settings.level_all"],
  ["mentions", "settings.level_mentions"],
  ["none", "settings.level_none"],
];
/** What starter communities are written in; others can be had by search. */
const LANGUAGES = [
  "en",
  "de",
  "es",
  "fr",
  "pt",
  "it",
  "pl",
  "tr",
  "uk",
  "ru",
  "ar",
  "fa",
  "hi",
  "ur",
  "bn",
  "pa",
  "zh",
  "ja",
  "ko",
  "vi",
  "fil",
  "id",
];

/** Name, languages one reads, and what one is told of. */
export function AccountSettings() {
  const me = useQuery({ queryKey: ["me"], queryFn: () => answer(api.GET("/api/v1/me")) });
  if (me.isPending) return <SkeletonLines lines={5} />;
  if (me.isError) return <ErrorState error={me.error} onRetry={() => void me.refetch()} />;
  return <Form me={me.data} />;
}

function Form({ me }: { me: Me }) {
  const { t, language } = useI18n();
  const queries = useQueryClient();
  const [name, setName] = useState(me.display_name);
  const [languages, setLanguages] = useState<readonly string[]>(me.languages);
  const [level, setLevel] = useState<Level>(me.default_follow_level);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);

  async function save() {
    setBusy(true);
    setProblem(null);
    try {
      const changed = await answer(
        api.PATCH("/api/v1/me", {
          body: {
            display_name: name.trim(),
            languages: [...languages],
            default_follow_level: level,
          },
        }),
      );
      queries.setQueryData(["me"], changed);
      await refreshSession();
      toast(t("settings.saved"));
    } catch (error) {
      setProblem(Problem.from(error));
    } finally {
      setBusy(false);
    }
  }

  const shown = [...new Set([...languages, ...LANGUAGES])];
  return (
    <form
      className="grid gap-5"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      {problem && problem.errors.length === 0 && (
        <p role="alert" className="rounded-xl bg-danger-wash p-3 text-danger">
          {problemText(problem, t)}
        </p>
      )}
      <Input
        label={t("settings.name")}
        hint={t("settings.name_hint", { handle: me.handle })}
        value={name}
        maxLength={60}
        dir="auto"
        error={problem?.reasonOf("display_name")}
        onChange={(event) => setName(event.target.value)}
      />
      <fieldset className="grid gap-2">
        <legend className="font-semibold">{t("settings.languages")}</legend>
        <p className="text-sm text-ink-soft">{t("settings.languages_hint")}</p>
        <div className="flex flex-wrap gap-2">
          {shown.map((tag) => (
            <button
              key={tag}
              type="button"
              aria-pressed={languages.includes(tag)}
              onClick={() =>
                setLanguages(
                  languages.includes(tag)
                    ? languages.filter((other) => other !== tag)
                    : [...languages, tag],
                )
              }
              className="min-h-10 rounded-full border border-line-strong bg-raised px-3.5 text-sm font-semibold text-ink-soft aria-pressed:border-tile aria-pressed:bg-tile-wash aria-pressed:text-tile"
            >
              {languageName(tag, language)}
            </button>
          ))}
        </div>
        {problem?.reasonOf("languages") && (
          <p className="text-sm font-medium text-danger">{problem.reasonOf("languages")}</p>
        )}
      </fieldset>
      <Select
        label={t("settings.level")}
        hint={t("settings.level_hint")}
        value={level}
        onChange={(event) => setLevel(event.target.value as Level)}
      >
        {LEVELS.map(([id, label]) => (
          <option key={id} value={id}>
            {t(label)}
          </option>
        ))}
      </Select>
      <Button type="submit" look="primary" busy={busy} className="justify-self-start">
        {t("settings.save")}
      </Button>
    </form>
  );
}
