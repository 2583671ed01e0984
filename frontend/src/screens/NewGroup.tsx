import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { answer, api } from "@/api/client";
import { Problem } from "@/api/problem";
import { afterFailure, firstTry } from "@/api/tries";
import { joinedCommunities } from "@/content/communities";
import { type Admitting, AdmittingChoice } from "@/groups/AdmittingChoice";
import { useI18n } from "@/i18n/i18n";
import { navigate, to } from "@/routing/router";
import { useSession } from "@/session/session";
import { PageHeading } from "@/shell/PageHeading";
import { Button, ButtonLink } from "@/ui/Button";
import { Input, Textarea } from "@/ui/Field";
import { EmptyState, problemText } from "@/ui/States";

/** A group of members' own: public, or for those who are let in. */
export default function NewGroupPage() {
  const { t } = useI18n();
  const session = useSession();
  const queries = useQueryClient();
  const tries = useRef(firstTry());
  const [name, setName] = useState("");
  const [rules, setRules] = useState("");
  const [admitting, setAdmitting] = useState<Admitting>({ visibility: "public", joining: "open" });
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  if (session.status !== "member")
    return (
      <EmptyState
        wholePage
        title={t("groups.guest")}
        action={
          <ButtonLink href={to("register", {}, { next: to("group_new") })} look="primary">
            {t("shell.join")}
          </ButtonLink>
        }
      />
    );

  async function create() {
    setBusy(true);
    setProblem(null);
    try {
      const group = await answer(
        api.POST("/api/v1/communities", {
          params: { header: { "Idempotency-Key": tries.current.key } },
          body: { name: name.trim(), rules, ...admitting },
        }),
      );
      await queries.invalidateQueries({ queryKey: joinedCommunities().queryKey });
      navigate(to("members", { community: group.slug }), { replace: true });
    } catch (error) {
      const after = afterFailure(tries.current, Problem.from(error));
      tries.current = after.tries;
      // The group that an earlier try has made is found where their others are.
      if (after.problem.code === "sent_before")
        await queries.invalidateQueries({ queryKey: joinedCommunities().queryKey });
      setProblem(after.problem);
      setBusy(false);
    }
  }

  return (
    <form
      className="mx-auto grid max-w-2xl gap-5"
      onSubmit={(event) => {
        event.preventDefault();
        void create();
      }}
    >
      <div>
        <PageHeading title={t("groups.new")} className="text-2xl font-bold sm:text-3xl" />
        <p className="mt-1 text-ink-soft">{t("groups.new_lead")}</p>
      </div>
      {problem && problem.errors.length === 0 && (
        <p role="alert" className="rounded-xl bg-danger-wash p-3 text-danger">
          {problemText(problem, t)}
        </p>
      )}
      <Input
        label={t("groups.name")}
        value={name}
        required
        minLength={3}
        maxLength={80}
        dir="auto"
        error={problem?.reasonOf("name")}
        onChange={(event) => setName(event.target.value)}
      />
      <Textarea
        label={t("groups.rules")}
        hint={t("groups.rules_hint")}
        value={rules}
        maxLength={10_000}
        error={problem?.reasonOf("rules")}
        onChange={(event) => setRules(event.target.value)}
      />
      <AdmittingChoice value={admitting} onChange={setAdmitting} />
      <Button type="submit" look="primary" busy={busy} className="justify-self-start">
        {t("groups.create")}
      </Button>
    </form>
  );
}
