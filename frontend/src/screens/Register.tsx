import { AccountForm } from "@/account/AccountForm";
import { PasswordInput } from "@/account/PasswordInput";
import { useI18n } from "@/i18n/i18n";
import { Link } from "@/routing/Link";
import { to } from "@/routing/router";
import { register } from "@/session/session";
import { Button } from "@/ui/Button";
import { Input } from "@/ui/Field";
import { useForm } from "@/ui/useForm";

export default function Register() {
  const { t, language } = useI18n();
  const form = useForm(async ({ handle = "", email = "", password = "" }) => {
    await register({ handle: handle.toLowerCase(), email, password, languages: [language] });
  });
  const taken = form.problem?.code === "conflict";
  const errorOf = (path: string) => {
    const reason = form.errorOf(path);
    if (!reason) return undefined;
    if (taken) return t(path === "email" ? "account.email_taken" : "account.handle_taken");
    return t(
      path === "email"
        ? "account.email_wrong"
        : path === "handle"
          ? "account.handle_wrong"
          : "account.password_wrong",
    );
  };
  return (
    <AccountForm
      title={t("account.register_title")}
      error={form.general}
      form={form.props}
      footer={
        <>
          {t("account.have_one")}{" "}
          <Link className="link" href={to("login") + window.location.search}>
            {t("shell.sign_in")}
          </Link>
        </>
      }
    >
      <Input
        name="handle"
        label={t("account.handle")}
        hint={t("account.handle_hint")}
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        pattern="[A-Za-z0-9_]{3,30}"
        title={t("account.handle_wrong")}
        required
        error={errorOf("handle")}
      />
      <Input
        name="email"
        type="email"
        label={t("account.email")}
        hint={t("account.email_hint")}
        autoComplete="email"
        required
        error={errorOf("email")}
      />
      <PasswordInput
        autoComplete="new-password"
        minLength={10}
        hint={t("account.password_hint")}
        error={errorOf("password")}
      />
      <Button type="submit" look="primary" busy={form.busy} className="w-full text-lg">
        {t("account.create")}
      </Button>
    </AccountForm>
  );
}
