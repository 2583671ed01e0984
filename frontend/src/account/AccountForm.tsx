import { type FormHTMLAttributes, type ReactNode, type Ref, useEffect } from "react";
import { navigate } from "@/routing/router";
import { useSession } from "@/session/session";
import { PageHeading } from "@/shell/PageHeading";

/** Where the reader was before they were asked who they are; only a place on this site. */
export function nextPage(): string {
  const next = new URLSearchParams(window.location.search).get("next") ?? "/";
  return next.startsWith("/") && !next.startsWith("//") && !next.includes("\\") ? next : "/";
}

/** A small form about the account under the inn's arch. */
export function AccountForm({
  title,
  error,
  form,
  footer,
  children,
}: {
  title: string;
  error: string | null;
  form: FormHTMLAttributes<HTMLFormElement> & { ref: Ref<HTMLFormElement> };
  footer: ReactNode;
  children: ReactNode;
}) {
  const session = useSession();
  // Who is signed in already, here or in another tab, has no use for it.
  useEffect(() => {
    if (session.status === "member") navigate(nextPage(), { replace: true });
  }, [session.status]);
  return (
    <div className="mx-auto grid max-w-md gap-6 pt-4 sm:pt-10">
      <PageHeading title={title} className="text-center text-3xl font-bold" />
      <form {...form} className="card grid gap-5 p-5 shadow-card sm:p-7">
        {error && (
          <p role="alert" className="rounded-xl bg-danger-wash px-4 py-3 font-medium text-danger">
            {error}
          </p>
        )}
        {children}
      </form>
      <p className="text-center">{footer}</p>
    </div>
  );
}
