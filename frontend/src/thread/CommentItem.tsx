import {
  Bookmark,
  CircleCheck,
  Ellipsis,
  Link2,
  MessageCircleReply,
  Minus,
  Pencil,
  Plus,
  TextQuote,
  Trash2,
} from "lucide-react";
import { memo, type ReactNode, useEffect, useRef, useState } from "react";
import { answer, api, type Comment } from "@/api/client";
import { MemberName } from "@/content/MemberName";
import { useMark } from "@/content/marks";
import { Prose } from "@/content/Prose";
import { Votes } from "@/content/Votes";
import { languageName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { useSession } from "@/session/session";
import { Avatar } from "@/ui/Avatar";
import { Badge } from "@/ui/Badge";
import { Button } from "@/ui/Button";
import { Menu, type MenuItem } from "@/ui/Menu";
import { refuse } from "@/ui/refuse";
import { Time } from "@/ui/Time";
import { CommentForm } from "./CommentForm";
import { EditForm } from "./EditForm";
import { copyLink, setSaved } from "./keeping";
import { Translated } from "./Translated";

const ICON = { size: 18, "aria-hidden": true } as const;

/** One comment of the tree, with what can be done about it. */
export const CommentItem = memo(function CommentItem({
  comment,
  asker,
  accepted,
  mayAccept,
  closed,
  translatable,
  fold,
  isNew,
  isTarget,
  onSeen,
  onShowBelow,
  onChanged,
  onAccept,
}: {
  comment: Comment;
  /** Who wrote the post. */
  asker: string | undefined;
  accepted: boolean;
  mayAccept: boolean;
  closed: boolean;
  /** Whether the server has a model that translates. */
  translatable: boolean;
  /** null: nothing stands below it. */
  fold: { folded: boolean; below: number; toggle: (id: string) => void } | null;
  isNew: boolean;
  /** The one that the reader's link was about. */
  isTarget: boolean;
  onSeen: (id: string) => void;
  onShowBelow: (comment: Comment) => Promise<void>;
  onChanged: (comment: Comment) => void;
  onAccept: (id: string | null) => void;
}) {
  const { t, language } = useI18n();
  const session = useSession();
  const { saved } = useMark(comment.id);
  const [doing, setDoing] = useState<"nothing" | "answer" | "quote" | "edit">("nothing");
  const element = useRef<HTMLLIElement>(null);
  const { id } = comment;
  const replyButton = useRef<HTMLButtonElement>(null);
  const done = () => {
    setDoing("nothing");
    // The form had the focus, and goes: without a place to be it would start over at the page's top.
    replyButton.current?.focus();
  };
  const isMine = comment.author !== null && comment.author.id === session.account?.id;
  const isMember = session.status === "member";
  const isForeign = comment.language !== language && comment.language !== "und";

  useEffect(() => {
    if (!isNew || !element.current) return;
    const watch = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) onSeen(id);
    });
    watch.observe(element.current);
    return () => watch.disconnect();
  }, [isNew, id, onSeen]);

  async function remove() {
    try {
      await answer(
        api.DELETE("/api/v1/comments/{comment_id}", { params: { path: { comment_id: id } } }),
      );
      onChanged({ ...comment, deleted: true, author: null, body_html: "", body_markdown: "" });
    } catch (error) {
      refuse(error);
    }
  }

  const items: MenuItem[] = [
    {
      kind: "action",
      label: t("thread.copy_link"),
      icon: <Link2 {...ICON} />,
      onSelect: () => void copyLink("comment", { post: comment.post_id, comment: id }, t),
    },
  ];
  if (isMember)
    items.push({
      kind: "action",
      label: t(saved ? "thread.unsave" : "thread.keep"),
      icon: <Bookmark {...ICON} fill={saved ? "currentColor" : "none"} />,
      onSelect: () => void setSaved("comment", id, !saved, t),
    });
  if (isMember && !closed)
    items.push({
      kind: "action",
      label: t("thread.quote"),
      icon: <TextQuote {...ICON} />,
      onSelect: () => setDoing("quote"),
    });
  if (mayAccept)
    items.push({
      kind: "action",
      label: t(accepted ? "thread.unaccept" : "thread.accept"),
      icon: <CircleCheck {...ICON} />,
      onSelect: () => onAccept(accepted ? null : id),
    });
  if (isMine)
    items.push(
      {
        kind: "action",
        label: t("thread.edit"),
        icon: <Pencil {...ICON} />,
        onSelect: () => setDoing("edit"),
      },
      {
        kind: "action",
        label: t("thread.delete"),
        icon: <Trash2 {...ICON} />,
        danger: true,
        onSelect: () => void remove(),
      },
    );

  return (
    <li
      ref={element}
      id={`comment-${id}`}
      className={`branch py-3 ${isNew ? "rise" : ""}`}
      style={{ "--depth": comment.depth } as React.CSSProperties}
    >
      <article
        tabIndex={isTarget ? -1 : undefined}
        aria-label={t("thread.comment_of", { handle: comment.author?.handle ?? "" })}
        className={`rounded-xl ${isTarget ? "bg-lamp-wash p-3" : ""} ${accepted ? "border border-leaf bg-leaf-wash p-3" : ""}`}
      >
        {accepted && (
          <p className="mb-2 flex items-center gap-1.5 text-sm font-semibold text-leaf">
            <CircleCheck size={18} aria-hidden="true" />
            {t("thread.accepted")}
          </p>
        )}
        <Byline comment={comment} asker={asker}>
          {isForeign && !comment.deleted && (
            <Badge>{languageName(comment.language, language)}</Badge>
          )}
          {fold && (
            <button
              type="button"
              aria-expanded={!fold.folded}
              onClick={() => fold.toggle(id)}
              className="inline-flex min-h-8 items-center gap-1 rounded-full px-2 text-ink-soft hover:bg-sunken hover:text-ink"
            >
              {fold.folded ? (
                <Plus size={16} aria-hidden="true" />
              ) : (
                <Minus size={16} aria-hidden="true" />
              )}
              <span className={fold.folded ? "" : "sr-only"}>
                {t(fold.folded ? "thread.unfold" : "thread.fold", { count: fold.below })}
              </span>
            </button>
          )}
        </Byline>
        {comment.deleted ? (
          <p className="py-1 text-ink-soft italic">
            {t(comment.deleted_by === "moderator" ? "thread.removed" : "thread.deleted")}
            {comment.deleted_reason ? ` ${comment.deleted_reason}` : ""}
          </p>
        ) : doing === "edit" ? (
          <EditForm
            text={comment.body_markdown}
            label={t("thread.edit")}
            onDone={done}
            save={async (text) =>
              onChanged(
                await answer(
                  api.PATCH("/api/v1/comments/{comment_id}", {
                    params: { path: { comment_id: id } },
                    body: { body_markdown: text },
                  }),
                ),
              )
            }
          />
        ) : (
          <>
            <Prose html={comment.body_html} language={comment.language} className="mt-1" />
            {translatable && isForeign && isMember && (
              // By another key after an edit: what was translated no longer stands there.
              <div key={comment.edited_at} className="mt-2">
                <Translated kind="comment" id={id} from={comment.language} />
              </div>
            )}
          </>
        )}
        {!comment.deleted && (
          <div className="mt-2 flex flex-wrap items-center gap-1">
            <Votes kind="comment" id={id} score={comment.score} />
            {!closed && (
              <Button
                ref={replyButton}
                look="quiet"
                size="small"
                className="min-h-10"
                aria-expanded={doing === "answer"}
                onClick={() => setDoing(doing === "answer" ? "nothing" : "answer")}
                icon={<MessageCircleReply {...ICON} className="rtl:-scale-x-100" />}
              >
                {t("thread.reply")}
              </Button>
            )}
            <Menu
              label={t("thread.more_of", { handle: comment.author?.handle ?? "" })}
              trigger={<Ellipsis size={20} aria-hidden="true" />}
              items={items}
              align="start"
              className="inline-flex size-10 items-center justify-center rounded-full text-ink-soft hover:bg-sunken hover:text-ink"
            />
          </div>
        )}
        {(doing === "answer" || doing === "quote") && (
          <div className="mt-3">
            <CommentForm
              post={comment.post_id}
              parent={id}
              quote={doing === "quote" ? quoted(comment.body_markdown) : ""}
              label={t("thread.answer_to", { handle: comment.author?.handle ?? "" })}
              onDone={done}
            />
          </div>
        )}
        {comment.more_children > 0 && !fold?.folded && (
          <Below comment={comment} onShowBelow={onShowBelow} />
        )}
      </article>
    </li>
  );
});

function Byline({
  comment,
  asker,
  children,
}: {
  comment: Comment;
  asker: string | undefined;
  children: ReactNode;
}) {
  const { t } = useI18n();
  return (
    <p className="flex flex-wrap items-center gap-x-2 gap-y-1 text-sm text-ink-soft">
      {comment.author && (
        <>
          <Avatar handle={comment.author.handle} size="small" />
          <MemberName handle={comment.author.handle} className="font-semibold text-ink" />
          {comment.author.id === asker && <Badge tone="tile">{t("thread.asker")}</Badge>}
        </>
      )}
      <Time at={comment.created_at} />
      {comment.edited_at && !comment.deleted && <span>{t("thread.edited")}</span>}
      {children}
    </p>
  );
}

function Below({
  comment,
  onShowBelow,
}: {
  comment: Comment;
  onShowBelow: (comment: Comment) => Promise<void>;
}) {
  const { t } = useI18n();
  const [busy, setBusy] = useState(false);
  async function show() {
    setBusy(true);
    try {
      await onShowBelow(comment);
    } catch (error) {
      refuse(error);
    } finally {
      setBusy(false);
    }
  }
  return (
    <Button
      look="quiet"
      size="small"
      className="mt-1 min-h-10"
      busy={busy}
      onClick={() => void show()}
    >
      {t("thread.more_replies", { count: comment.more_children })}
    </Button>
  );
}

function quoted(markdown: string): string {
  const lines = markdown.trim().split("\n");
  return `${lines.map((line) => `> ${line}`).join("\n")}\n\n`;
}
