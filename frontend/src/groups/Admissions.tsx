import { useQuery, useQueryClient } from "@tanstack/react-query";
import { UserPlus, X } from "lucide-react";
import { type ReactNode, useState } from "react";
import { answer, api } from "@/api/client";
import { Problem } from "@/api/problem";
import { useI18n } from "@/i18n/i18n";
import { Avatar } from "@/ui/Avatar";
import { Button, IconButton } from "@/ui/Button";
import { Input } from "@/ui/Field";
import { refuse } from "@/ui/refuse";
import { problemText } from "@/ui/States";
import { toast } from "@/ui/Toasts";

/** For who runs a group: whom they invite, and who asks to come in. */
export function Admissions({ community }: { community: string }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const path = { community };
  const asked = useQuery({
    queryKey: ["join-requests", community],
    queryFn: () =>
      answer(api.GET("/api/v1/communities/{community}/join-requests", { params: { path } })),
    refetchInterval: 30_000,
  });
  const invited = useQuery({
    queryKey: ["invitations", community],
    queryFn: () =>
      answer(api.GET("/api/v1/communities/{community}/invitations", { params: { path } })),
  });

  async function change(call: () => Promise<unknown>) {
    try {
      await call();
      await Promise.all(
        ["join-requests", "invitations", "members"].map((name) =>
          queries.invalidateQueries({ queryKey: [name, community] }),
        ),
      );
    } catch (error) {
      refuse(error);
    }
  }

  const requests = asked.data?.items ?? [];
  const invitations = invited.data?.items ?? [];
  return (
    <div className="grid gap-5">
      {requests.length > 0 && (
        <section aria-labelledby="requests" className="card grid gap-3 p-4">
          <h2 id="requests" className="text-lg font-bold">
            {t("groups.requests", { count: requests.length })}
          </h2>
          <ul className="grid gap-3">
            {requests.map((request) => {
              const one = { params: { path: { community, account_id: request.account.id } } };
              return (
                <Person key={request.account.id} handle={request.account.handle}>
                  {request.message && (
                    <p dir="auto" className="w-full text-ink-soft">
                      {request.message}
                    </p>
                  )}
                  <Button
                    look="primary"
                    size="small"
                    className="min-h-10"
                    onClick={() =>
                      void change(() =>
                        answer(
                          api.PUT(
                            "/api/v1/communities/{community}/join-requests/{account_id}",
                            one,
                          ),
                        ),
                      )
                    }
                  >
                    {t("groups.let_in")}
                  </Button>
                  <Button
                    size="small"
                    className="min-h-10"
                    onClick={() =>
                      void change(() =>
                        answer(
                          api.DELETE(
                            "/api/v1/communities/{community}/join-requests/{account_id}",
                            one,
                          ),
                        ),
                      )
                    }
                  >
                    {t("groups.refuse")}
                  </Button>
                </Person>
              );
            })}
          </ul>
        </section>
      )}
      <section aria-labelledby="invite" className="card grid gap-3 p-4">
        <h2 id="invite" className="text-lg font-bold">
          {t("groups.invite")}
        </h2>
        <Invite community={community} onInvited={() => void invited.refetch()} />
        {invitations.length > 0 && (
          <ul className="grid gap-2" aria-label={t("groups.invited")}>
            {invitations.map(({ account }) => (
              <Person key={account.id} handle={account.handle}>
                <IconButton
                  label={t("groups.withdraw", { handle: account.handle })}
                  onClick={() =>
                    void change(() =>
                      answer(
                        api.DELETE("/api/v1/communities/{community}/invitations/{account_id}", {
                          params: { path: { community, account_id: account.id } },
                        }),
                      ),
                    )
                  }
                >
                  <X size={18} aria-hidden="true" />
                </IconButton>
              </Person>
            ))}
          </ul>
        )}
      </section>
    </div>
  );
}

function Invite({ community, onInvited }: { community: string; onInvited: () => void }) {
  const { t } = useI18n();
  const [handle, setHandle] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  async function invite() {
    setBusy(true);
    setProblem(null);
    try {
      await answer(
        api.POST("/api/v1/communities/{community}/invitations", {
          params: { path: { community } },
          body: { handle: handle.trim().replace(/^@/, "").toLowerCase() },
        }),
      );
      toast(t("groups.was_invited", { handle }));
      setHandle("");
      onInvited();
    } catch (error) {
      setProblem(Problem.from(error));
    } finally {
      setBusy(false);
    }
  }
  const known: Record<string, string> = {
    not_found: t("groups.no_such_member"),
    conflict: t("groups.is_member"),
  };
  return (
    <form
      className="flex flex-wrap items-end gap-2"
      onSubmit={(event) => {
        event.preventDefault();
        void invite();
      }}
    >
      <div className="min-w-48 flex-1">
        <Input
          label={t("groups.handle")}
          value={handle}
          required
          autoComplete="off"
          error={
            problem
              ? (known[problem.code] ?? problem.reasonOf("handle") ?? problemText(problem, t))
              : undefined
          }
          onChange={(event) => setHandle(event.target.value)}
        />
      </div>
      <Button
        type="submit"
        busy={busy}
        className="min-h-12"
        icon={<UserPlus size={18} aria-hidden="true" />}
      >
        {t("groups.invite")}
      </Button>
    </form>
  );
}

function Person({ handle, children }: { handle: string; children: ReactNode }) {
  return (
    <li className="flex flex-wrap items-center gap-2">
      <Avatar handle={handle} size="small" />
      <bdi className="flex-1 font-semibold">@{handle}</bdi>
      {children}
    </li>
  );
}
