import { useQuery } from "@tanstack/react-query";
import { Info, Sparkles } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Problem } from "@/api/problem";
import { AnswerText } from "@/ask/AnswerText";
import { ask, type Final, type Source } from "@/ask/events";
import { Feedback } from "@/ask/Feedback";
import { Sources } from "@/ask/Sources";
import { countries } from "@/content/communities";
import { countryName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { useSearch } from "@/routing/router";
import { PageHeading } from "@/shell/PageHeading";
import { announce } from "@/ui/announce";
import { Badge } from "@/ui/Badge";
import { Button, Spinner } from "@/ui/Button";
import { Select, Textarea } from "@/ui/Field";
import { ErrorState } from "@/ui/States";
import { scrolling } from "@/ui/scrolling";

const MOST_CHARACTERS = 1_000;

type Asked = {
  text: string;
  sources: Source[];
  tokens: string;
  final: Final | null;
  problem: Problem | null;
};

/** The assistant: it answers from the community and the official guides, or says that it can't. */
export default function AskPage() {
  const { t, language } = useI18n();
  const [query] = useSearch();
  const directory = useQuery(countries());
  const [question, setQuestion] = useState(query.get("q") ?? "");
  const [country, setCountry] = useState(query.get("country") ?? "");
  const [asked, setAsked] = useState<Asked | null>(null);
  const [busy, setBusy] = useState(false);
  const [shown, setShown] = useState<number | null>(null);
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  // On a phone the answer would come below what is seen.
  const answered = useRef<HTMLElement>(null);
  useEffect(() => {
    if (busy) answered.current?.scrollIntoView({ block: "start" });
  }, [busy]);

  async function submit() {
    const text = question.trim();
    if (text.length < 3) return;
    running.current?.abort();
    const control = new AbortController();
    running.current = control;
    const change = (how: (before: Asked) => Asked) => {
      if (!control.signal.aborted) setAsked((before) => before && how(before));
    };
    setAsked({ text, sources: [], tokens: "", final: null, problem: null });
    setShown(null);
    setBusy(true);
    try {
      await ask(
        { question: text, ...(country && { country }) },
        {
          onSources: (sources) => change((before) => ({ ...before, sources })),
          onToken: (token) => change((before) => ({ ...before, tokens: before.tokens + token })),
          onAnswer: (final) => {
            change((before) => ({ ...before, final }));
            announce(t("ask.answered"));
          },
        },
        control.signal,
      );
    } catch (error) {
      if (!control.signal.aborted)
        change((before) => ({ ...before, problem: Problem.from(error) }));
    } finally {
      if (running.current === control) setBusy(false);
    }
  }

  function show(n: number) {
    setShown(n);
    const element = document.getElementById(`source-${n}`);
    element?.scrollIntoView({ block: "center", behavior: scrolling() });
    element?.focus({ preventScroll: true });
  }

  return (
    <div className="mx-auto grid max-w-3xl gap-6">
      <div>
        <PageHeading title={t("ask.title")} className="text-2xl font-bold sm:text-3xl" />
        <p className="mt-1 text-ink-soft">{t("ask.lead")}</p>
      </div>
      <form
        className="card grid gap-3 p-4"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Textarea
          label={t("ask.question")}
          placeholder={t("ask.placeholder")}
          value={question}
          maxLength={MOST_CHARACTERS}
          rows={3}
          required
          onChange={(event) => setQuestion(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
            event.preventDefault();
            void submit();
          }}
        />
        <div className="flex flex-wrap items-end justify-between gap-3">
          <div className="min-w-48 flex-1 sm:max-w-72">
            <Select
              label={t("ask.country")}
              value={country}
              onChange={(event) => setCountry(event.target.value)}
            >
              <option value="">{t("ask.any_country")}</option>
              {(directory.data?.items ?? [])
                .map(({ code }) => ({ code, name: countryName(code, language) }))
                .sort((one, other) => one.name.localeCompare(other.name, language))
                .map(({ code, name }) => (
                  <option key={code} value={code}>
                    {name}
                  </option>
                ))}
            </Select>
          </div>
          {busy ? (
            <Button onClick={() => running.current?.abort()} icon={<Spinner />}>
              {t("ask.stop")}
            </Button>
          ) : (
            <Button
              type="submit"
              look="primary"
              disabled={question.trim().length < 3}
              icon={<Sparkles size={18} aria-hidden="true" />}
            >
              {t("ask.submit")}
            </Button>
          )}
        </div>
      </form>
      {asked && (
        <section
          ref={answered}
          aria-label={t("ask.answer")}
          aria-busy={busy}
          className="grid scroll-mt-20 gap-5"
        >
          <p dir="auto" className="border-s-4 border-lamp ps-3 text-lg font-semibold">
            {asked.text}
          </p>
          {asked.problem && <ErrorState error={asked.problem} onRetry={() => void submit()} />}
          {!asked.final && !asked.problem && busy && (
            <p className="flex items-center gap-3 text-ink-soft">
              <Spinner />
              {t(asked.sources.length > 0 ? "ask.reading" : "ask.looking")}
            </p>
          )}
          {asked.final ? (
            <Answer final={asked.final} onCite={show} />
          ) : (
            asked.tokens && (
              <p dir="auto" className="whitespace-pre-wrap text-lg">
                {asked.tokens}
              </p>
            )
          )}
          {(asked.final?.sources ?? asked.sources).length > 0 && (
            <Sources sources={asked.final?.sources ?? asked.sources} shown={shown} />
          )}
        </section>
      )}
    </div>
  );
}

function Answer({ final, onCite }: { final: Final; onCite: (n: number) => void }) {
  const { t } = useI18n();
  return (
    <div className="grid gap-4">
      {final.mode !== "not_found" && (
        <span className="justify-self-start">
          <Badge tone="tile" icon={<Sparkles size={13} aria-hidden="true" />}>
            {t(final.mode === "generated" ? "ask.generated" : "ask.extractive")}
          </Badge>
        </span>
      )}
      <AnswerText
        markdown={final.answer_markdown}
        language={final.language}
        cited={final.citations}
        onCite={onCite}
      />
      {final.notices.length > 0 && (
        <ul className="grid gap-1.5 text-sm text-ink-soft">
          {final.notices.map((notice) => (
            <li key={notice.code} dir="auto" lang={final.language} className="flex gap-2">
              <Info size={17} aria-hidden="true" className="mt-0.5 shrink-0" />
              {notice.text}
            </li>
          ))}
        </ul>
      )}
      <Feedback answerId={final.answer_id} />
    </div>
  );
}
