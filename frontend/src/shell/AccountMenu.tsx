import {
  CircleUserRound,
  Languages,
  LogIn,
  LogOut,
  Moon,
  Settings,
  Sun,
  UserPlus,
  UserRound,
} from "lucide-react";
import { useState } from "react";
import { currentLanguage, LANGUAGES, type Language, setLanguage, useI18n } from "@/i18n/i18n";
import { navigate, to } from "@/routing/router";
import { signOut, useSession } from "@/session/session";
import { Avatar } from "@/ui/Avatar";
import { Dialog } from "@/ui/Dialog";
import { Menu, type MenuItem } from "@/ui/Menu";
import { useTheme } from "./theme";

const SIZE = { size: 20, "aria-hidden": true } as const;

/** Who one is, and what is one's own: language and look too, for guests as well. */
export function AccountMenu() {
  const { t } = useI18n();
  const session = useSession();
  const [theme, setTheme] = useTheme();
  const [choosing, setChoosing] = useState(false);

  const items: MenuItem[] = [];
  if (session.status === "member") {
    const { handle } = session.account;
    items.push(
      {
        kind: "link",
        href: to("member", { handle }),
        icon: <UserRound {...SIZE} />,
        label: `@${handle}`,
      },
      {
        kind: "link",
        href: to("settings"),
        icon: <Settings {...SIZE} />,
        label: t("shell.settings"),
      },
    );
  } else {
    items.push({
      kind: "link",
      href: to("login"),
      icon: <LogIn {...SIZE} />,
      label: t("shell.sign_in"),
    });
    items.push({
      kind: "link",
      href: to("register"),
      icon: <UserPlus {...SIZE} />,
      label: t("shell.join"),
    });
  }
  if (items.length > 0) items.push({ kind: "divider" });
  items.push(
    {
      kind: "action",
      onSelect: () => setChoosing(true),
      icon: <Languages {...SIZE} />,
      label: LANGUAGES[currentLanguage()],
    },
    {
      kind: "action",
      onSelect: () => setTheme(theme === "dark" ? "light" : "dark"),
      icon: theme === "dark" ? <Sun {...SIZE} /> : <Moon {...SIZE} />,
      label: t(theme === "dark" ? "shell.light" : "shell.dark"),
    },
  );
  if (session.status === "member")
    items.push(
      { kind: "divider" },
      {
        kind: "action",
        onSelect: () => void signOut().then(() => navigate("/")),
        icon: <LogOut {...SIZE} className="rtl:-scale-x-100" />,
        label: t("shell.sign_out"),
      },
    );

  return (
    <>
      <Menu
        label={
          session.status === "member"
            ? t("shell.account_of", { handle: session.account.handle })
            : t("shell.account")
        }
        trigger={
          session.status === "member" ? (
            <Avatar handle={session.account.handle} />
          ) : (
            <CircleUserRound size={24} aria-hidden="true" />
          )
        }
        items={items}
      />
      <Dialog open={choosing} title={t("shell.language")} onClose={() => setChoosing(false)}>
        <ul className="grid gap-1 sm:grid-cols-2">
          {Object.entries(LANGUAGES).map(([language, name]) => (
            <li key={language}>
              <button
                type="button"
                lang={language}
                aria-pressed={language === currentLanguage()}
                onClick={() =>
                  void setLanguage(language as Language).then(() => setChoosing(false))
                }
                className="min-h-12 w-full rounded-xl px-4 text-start text-lg hover:bg-sunken aria-pressed:bg-tile-wash aria-pressed:font-semibold aria-pressed:text-tile"
              >
                {name}
              </button>
            </li>
          ))}
        </ul>
      </Dialog>
    </>
  );
}
