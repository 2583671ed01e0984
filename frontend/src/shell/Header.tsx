import { Search } from "lucide-react";
import { useI18n } from "@/i18n/i18n";
import { Unread } from "@/notifications/Unread";
import { Link } from "@/routing/Link";
import { isPage, navigate, to, useLocation } from "@/routing/router";
import { useSession } from "@/session/session";
import { ButtonLink } from "@/ui/Button";
import { Logo } from "@/ui/Logo";
import { AccountMenu } from "./AccountMenu";
import { CommunitySwitcher } from "./CommunitySwitcher";
import { places } from "./navigation";

export function Header() {
  const { t } = useI18n();
  const session = useSession();
  const isMember = session.status === "member";
  return (
    <header className="sticky top-0 z-30 border-b border-line bg-raised">
      <div className="page flex h-16 items-center gap-1.5 md:gap-3">
        <Link href="/" className="me-1 rounded-lg py-2" aria-label={t("shell.home_of_serai")}>
          <Logo />
        </Link>
        {isMember && <CommunitySwitcher />}
        <nav aria-label={t("shell.places")} className="hidden md:flex">
          {places(isMember).map(({ page, label }) => (
            <Link
              key={page}
              href={to(page)}
              className="inline-flex min-h-11 items-center gap-1.5 rounded-full px-3 font-semibold text-ink-soft hover:text-ink aria-[current]:text-tile"
            >
              {t(label)}
              {page === "notifications" && <Unread />}
            </Link>
          ))}
        </nav>
        <span className="flex-1" />
        {isPage("search") && <SearchBox />}
        {!isMember && (
          <ButtonLink href={to("register")} look="primary" size="small">
            {t("shell.join")}
          </ButtonLink>
        )}
        <AccountMenu />
      </div>
    </header>
  );
}

function SearchBox() {
  const { t } = useI18n();
  const { search, path } = useLocation();
  const asked = match(path) ? (new URLSearchParams(search).get("q") ?? "") : "";
  return (
    <>
      <search className="contents">
        <form
          className="relative hidden max-w-72 flex-1 lg:block"
          onSubmit={(event) => {
            event.preventDefault();
            const q = String(new FormData(event.currentTarget).get("q") ?? "").trim();
            if (q) navigate(`/search?${new URLSearchParams({ q })}`);
          }}
        >
          <Search size={18} aria-hidden="true" className="absolute start-3.5 top-3 text-ink-soft" />
          <input
            key={asked}
            name="q"
            type="search"
            defaultValue={asked}
            aria-label={t("shell.search")}
            placeholder={t("shell.search")}
            className="min-h-11 w-full rounded-full border border-line-strong bg-ground ps-10 pe-4 placeholder:text-ink-soft"
          />
        </form>
      </search>
      <Link
        href="/search"
        aria-label={t("shell.search")}
        className="inline-flex size-11 items-center justify-center rounded-full text-ink-soft hover:bg-sunken hover:text-ink lg:hidden"
      >
        <Search size={21} aria-hidden="true" />
      </Link>
    </>
  );
}

function match(path: string): boolean {
  return path === "/search";
}
