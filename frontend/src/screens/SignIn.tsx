import { useState } from "react";
import { AccountForm } from "@/account/AccountForm";
import { PasswordInput } from "@/account/PasswordInput";
import { Problem } from "@/api/problem";
import { useI18n } from "@/i18n/i18n";
import { Link } from "@/routing/Link";
import { to } from "@/routing/router";
import { signIn } from "@/session/session";
import { Button } from "@/ui/Button";
import { Input } from "@/ui/Field";
import { useForm } from "@/ui/useForm";

export default function SignIn() {
  const { t } = useI18n();
  const [wrong, setWrong] = useState(false);
  const form = useForm(async ({ login = "", password = "" }) => {
    setWrong(false);
    try {
      await signIn(login, password);
    } catch (error) {
      setWrong(error instanceof Problem && error.code === "invalid_credentials");
      throw error;
    }
  });
  return (
    <AccountForm
      title={t("account.sign_in_title")}
      error={wrong ? t("account.wrong") : form.general}
      form={form.props}
      footer={
        <>
          {t("account.new_here")}{" "}
          <Link className="link" href={to("register") + window.location.search}>
            {t("account.create")}
          </Link>
        </>
      }
    >
      <Input
        name="login"
        label={t("account.login")}
        autoComplete="username"
        autoCapitalize="none"
        required
        error={form.errorOf("login")}
      />
      <PasswordInput autoComplete="current-password" error={form.errorOf("password")} />
      <Button type="submit" look="primary" busy={form.busy} className="w-full text-lg">
        {t("shell.sign_in")}
      </Button>
    </AccountForm>
  );
}
