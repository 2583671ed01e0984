import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { answer, api, type Schemas } from "@/api/client";
import { Problem } from "@/api/problem";
import { afterFailure } from "@/api/tries";
import { type Keeping, useDraft } from "@/compose/draft";
import { isComplete, PostFields } from "@/compose/PostFields";
import { Similar } from "@/compose/Similar";
import { communityBySlug } from "@/content/communities";
import { useCommunityName } from "@/content/names";
import { useI18n } from "@/i18n/i18n";
import type { MessageKey } from "@/i18n/sections";
import { navigate, type Params, to, useLocation, useSearch } from "@/routing/router";
import { useSession } from "@/session/session";
import { PageHeading } from "@/shell/PageHeading";
import { Button, ButtonLink } from "@/ui/Button";
import { EmptyState, ErrorState, SkeletonLines } from "@/ui/States";

const KEPT: Record<Keeping, MessageKey | null> = {
  nothing: null,
  here: "compose.kept_here",
  server: "compose.kept_on_server",
};

/** A new post of a community. `?draft=` goes on with one that was kept. */
export default function ComposePage({ params }: { params: Params }) {
  const { t } = useI18n();
  const session = useSession();
  const { path } = useLocation();
  const [query] = useSearch();
  const draft = query.get("draft");
  const community = useQuery(communityBySlug(params.community ?? ""));
  const started = useQuery({
    queryKey: ["draft", draft],
    queryFn: () =>
      answer(
        api.GET("/api/v1/me/drafts/{draft_id}", { params: { path: { draft_id: draft ?? "" } } }),
      ),
    enabled: draft !== null && session.status === "member",
    staleTime: 0,
    gcTime: 0,
  });
  if (session.status === "guest")
    return (
      <EmptyState
        wholePage
        title={t("compose.guest_title")}
        action={
          <ButtonLink href={to("register", {}, { next: path })} look="primary">
            {t("shell.join")}
          </ButtonLink>
        }
      >
        {t("compose.guest_text")}
      </EmptyState>
    );
  const failed = community.error ?? started.error;
  if (failed) return <ErrorState error={failed} onRetry={() => void community.refetch()} />;
  if (!community.data || (draft !== null && !started.data) || session.status !== "member")
    return <SkeletonLines lines={6} />;
  // Another account begins anew: what one has written is nothing for the next.
  const { id } = session.account;
  return <Form key={id} account={id} community={community.data} start={started.data ?? null} />;
}

function Form({
  account,
  community,
  start,
}: {
  account: string;
  community: Schemas["CommunityAnswer"];
  start: Schemas["Draft"] | null;
}) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const name = useCommunityName()(community);
  const { written, keeping, change, postKey, renewKey, end } = useDraft(
    account,
    community.id,
    start,
  );
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);

  async function submit() {
    setBusy(true);
    setProblem(null);
    try {
      const post = await answer(
        api.POST("/api/v1/posts", {
          params: { header: { "Idempotency-Key": postKey } },
          body: {
            community_id: community.id,
            title: written.title.trim(),
            body_markdown: written.body,
            tags: written.tags,
          },
        }),
      );
      void end();
      await queries.invalidateQueries({ queryKey: ["feed"] });
      navigate(to("thread", { post: post.id }), { replace: true });
    } catch (error) {
      // The key outlives the page: a try that got lost may be one of an earlier visit.
      const after = afterFailure({ key: postKey, lost: true }, Problem.from(error));
      renewKey(after.tries.key);
      setProblem(after.problem);
      setBusy(false);
    }
  }

  async function discard() {
    await end();
    navigate(to("community", { community: community.slug }), { replace: true });
  }

  const kept = KEPT[keeping];
  return (
    <form
      className="mx-auto grid max-w-3xl gap-5"
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy) void submit();
      }}
    >
      <div>
        <PageHeading title={t("compose.title")} className="text-2xl font-bold sm:text-3xl" />
        <p className="mt-1 text-ink-soft">{t("compose.in", { name })}</p>
      </div>
      <PostFields written={written} change={change} problem={problem}>
        <Similar title={written.title} community={community.id} />
      </PostFields>
      <div className="flex flex-wrap items-center gap-3">
        <p role="status" className="min-h-6 flex-1 text-sm text-ink-soft">
          {kept && t(kept)}
        </p>
        {keeping !== "nothing" && (
          <Button look="quiet" onClick={() => void discard()}>
            {t("compose.discard")}
          </Button>
        )}
        <Button type="submit" look="primary" busy={busy} disabled={!isComplete(written)}>
          {t("compose.publish")}
        </Button>
      </div>
    </form>
  );
}
