import { Component, type ReactNode } from "react";
import { t } from "@/i18n/i18n";
import { Button } from "./Button";
import { EmptyState } from "./States";

/** A page that breaks leaves the rest of the shell standing. `resetKey`: another page, another try. */
export class ErrorBoundary extends Component<
  { children: ReactNode; resetKey: string },
  { failed: boolean }
> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override componentDidUpdate(before: { resetKey: string }) {
    if (this.state.failed && before.resetKey !== this.props.resetKey)
      this.setState({ failed: false });
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <EmptyState
        title={t("shell.broken_title")}
        action={<Button onClick={() => window.location.reload()}>{t("shell.reload")}</Button>}
      >
        {t("shell.broken_text")}
      </EmptyState>
    );
  }
}
