import { Send } from "lucide-react";
import { useEffect, useRef } from "react";
import { useI18n } from "@/i18n/i18n";
import { publish } from "@/realtime/connection";
import { to, useLocation } from "@/routing/router";
import { useSession } from "@/session/session";
import { Button, ButtonLink } from "@/ui/Button";
import { Textarea } from "@/ui/Field";
import { useKeptText } from "./drafts";
import { send } from "./outbox";

const MOST_CHARACTERS = 10_000;
/** An indicator ends by itself: it is said again while the member types. */
const TYPING_MS = 3_000;

type Place = {
  post: string;
  parent?: string | null;
  quote?: string;
  label: string;
  /** For an answer, which closes when it was sent or given up. */
  onDone?: () => void;
};

/** Where a comment is written; what was begun is there again after a crash. */
export function CommentForm(place: Place) {
  const { t } = useI18n();
  const session = useSession();
  const { path } = useLocation();
  // Another account has a form of its own: what one has begun is nothing for the next.
  if (session.status === "member")
    return <Form key={session.account.id} account={session.account.id} {...place} />;
  return (
    <div className="card flex flex-wrap items-center justify-between gap-3 p-4">
      <p className="text-ink-soft">{t("thread.guest")}</p>
      <span className="flex flex-wrap gap-2">
        <ButtonLink href={to("login", {}, { next: path })}>{t("shell.sign_in")}</ButtonLink>
        <ButtonLink href={to("register", {}, { next: path })} look="primary">
          {t("shell.join")}
        </ButtonLink>
      </span>
    </div>
  );
}

function Form({
  account,
  post,
  parent = null,
  quote = "",
  label,
  onDone,
}: Place & { account: string }) {
  const { t } = useI18n();
  const [text, setText, clear] = useKeptText(account, `comment.${post}.${parent ?? ""}`, quote);
  const field = useRef<HTMLDivElement>(null);
  const told = useRef(0);
  const isAnswer = onDone !== undefined;
  useEffect(() => {
    if (!isAnswer) return;
    const area = field.current?.querySelector("textarea");
    area?.focus();
    area?.setSelectionRange(area.value.length, area.value.length);
  }, [isAnswer]);

  function write(next: string) {
    setText(next);
    const now = Date.now();
    if (now - told.current > TYPING_MS) {
      told.current = now;
      publish(`thread:${post}`, { type: "typing" });
    }
  }

  function submit() {
    const body = text.trim();
    if (!body || body.length > MOST_CHARACTERS) return;
    send(post, parent, body);
    clear();
    onDone?.();
  }

  const isTooLong = text.length > MOST_CHARACTERS;
  return (
    <form
      className="grid gap-2"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <div ref={field}>
        <Textarea
          label={label}
          hideLabel={isAnswer}
          placeholder={t("thread.write_here")}
          value={text}
          rows={isAnswer ? 3 : 4}
          error={isTooLong ? t("thread.too_long", { most: MOST_CHARACTERS }) : undefined}
          onChange={(event) => write(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
            if (event.key === "Escape" && isAnswer) onDone();
          }}
        />
      </div>
      <div className="flex flex-wrap items-center justify-between gap-2">
        <p className="text-sm text-ink-soft">{t("thread.markdown")}</p>
        <span className="ms-auto flex gap-2">
          {isAnswer && (
            <Button look="quiet" onClick={onDone}>
              {t("thread.cancel")}
            </Button>
          )}
          <Button
            type="submit"
            look="primary"
            disabled={!text.trim() || isTooLong}
            icon={<Send size={17} aria-hidden="true" className="rtl:-scale-x-100" />}
          >
            {t(isAnswer ? "thread.reply" : "thread.send")}
          </Button>
        </span>
      </div>
    </form>
  );
}
