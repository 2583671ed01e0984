import { BadgeCheck, HeartHandshake, MessagesSquare } from "lucide-react";
import { Feed } from "@/feed/Feed";
import { useFeed } from "@/feed/useFeed";
import { useI18n } from "@/i18n/i18n";
import { Arcade } from "@/landing/Arcade";
import { Picker } from "@/landing/Picker";
import { Popular } from "@/landing/Popular";
import { PageHeading } from "@/shell/PageHeading";

export function Landing() {
  const { t } = useI18n();
  const feed = useFeed(null, "hot");
  const reasons = [
    { icon: MessagesSquare, title: t("landing.reason_live"), text: t("landing.reason_live_text") },
    { icon: BadgeCheck, title: t("landing.reason_cited"), text: t("landing.reason_cited_text") },
    {
      icon: HeartHandshake,
      title: t("landing.reason_ahead"),
      text: t("landing.reason_ahead_text"),
    },
  ];
  return (
    <div className="grid gap-12">
      <section className="relative -mt-6 grid gap-8 pt-10 md:grid-cols-[1.1fr_1fr] md:items-center md:pt-16">
        <div className="grid gap-4">
          <PageHeading
            title={t("landing.title")}
            className="text-4xl leading-[1.12] font-bold sm:text-5xl"
          />
          <p className="max-w-xl text-lg text-ink-soft">{t("landing.lead")}</p>
        </div>
        <Picker />
      </section>
      <Arcade />
      <Popular />
      <section className="grid gap-6 sm:grid-cols-3">
        {reasons.map(({ icon: Icon, title, text }) => (
          <div key={title} className="grid content-start gap-2">
            <Icon size={28} strokeWidth={1.6} className="text-clay" aria-hidden="true" />
            <h2 className="text-lg font-bold">{title}</h2>
            <p className="text-ink-soft">{text}</p>
          </div>
        ))}
      </section>
      <section className="mx-auto w-full max-w-3xl">
        <h2 className="border-b border-line pb-3 text-2xl font-bold">{t("landing.today")}</h2>
        <Feed
          id="landing"
          label={t("landing.today")}
          feed={feed}
          named
          empty={<p className="py-8 text-ink-soft">{t("landing.quiet")}</p>}
        />
      </section>
    </div>
  );
}
