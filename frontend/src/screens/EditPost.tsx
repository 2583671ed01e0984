import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { answer, api, type Schemas } from "@/api/client";
import { Problem } from "@/api/problem";
import type { Written } from "@/compose/draft";
import { isComplete, PostFields } from "@/compose/PostFields";
import { useI18n } from "@/i18n/i18n";
import { navigate, type Params, to } from "@/routing/router";
import { PageHeading } from "@/shell/PageHeading";
import { postQuery } from "@/thread/useThread";
import { Button, ButtonLink } from "@/ui/Button";
import { ErrorState, SkeletonLines } from "@/ui/States";

/** Changes a post; the texts before stay readable in its history. */
export default function EditPostPage({ params }: { params: Params }) {
  const post = useQuery(postQuery(params.post ?? ""));
  if (post.isPending) return <SkeletonLines lines={6} />;
  if (post.isError) return <ErrorState error={post.error} onRetry={() => void post.refetch()} />;
  return <Form post={post.data} />;
}

function Form({ post }: { post: Schemas["PostAnswer"] }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const [written, setWritten] = useState<Written>({
    title: post.title,
    body: post.body_markdown,
    tags: post.tags,
  });
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);

  async function submit() {
    setBusy(true);
    setProblem(null);
    try {
      await answer(
        api.PATCH("/api/v1/posts/{post_id}", {
          params: { path: { post_id: post.id } },
          body: {
            title: written.title.trim(),
            body_markdown: written.body,
            tags: written.tags,
          },
        }),
      );
      await queries.invalidateQueries({ queryKey: ["post", post.id] });
      navigate(to("thread", { post: post.id }), { replace: true });
    } catch (error) {
      setProblem(Problem.from(error));
      setBusy(false);
    }
  }

  return (
    <form
      className="mx-auto grid max-w-3xl gap-5"
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy) void submit();
      }}
    >
      <PageHeading title={t("compose.edit_title")} className="text-2xl font-bold sm:text-3xl" />
      <PostFields
        written={written}
        change={(fields) => setWritten({ ...written, ...fields })}
        problem={problem}
      />
      <div className="flex flex-wrap justify-end gap-3">
        <ButtonLink href={to("thread", { post: post.id })}>{t("compose.cancel")}</ButtonLink>
        <Button type="submit" look="primary" busy={busy} disabled={!isComplete(written)}>
          {t("compose.save")}
        </Button>
      </div>
    </form>
  );
}
