import { Suspense, useEffect } from "react";
import { useI18n } from "@/i18n/i18n";
import { useOwnNews } from "@/notifications/queries";
import { match, useLocation } from "@/routing/router";
import { ErrorBoundary } from "@/ui/ErrorBoundary";
import { SkeletonList } from "@/ui/States";
import { LiveRegion, Toasts } from "@/ui/Toasts";
import { startArrivals } from "./arrival";
import { BottomNavigation } from "./BottomNavigation";
import { Footer } from "./Footer";
import { Header } from "./Header";
import { OfflineBanner } from "./OfflineBanner";
import { NOT_FOUND, PAGES, preloadPages } from "./pages";

/** What stands around every page. */
export function Frame() {
  const { path } = useLocation();
  const { t } = useI18n();
  useEffect(startArrivals, []);
  useOwnNews();
  useEffect(preloadPages, []);
  const found = match(path);
  const Page = found ? PAGES[found.name] : NOT_FOUND;
  // Another community is another page: its heading takes the focus, its state begins anew.
  const key = found ? `${found.name} ${JSON.stringify(found.params)}` : path;
  return (
    <div className="flex min-h-dvh flex-col">
      <a
        href="#main"
        className="fixed start-3 top-3 z-50 -translate-y-24 rounded-full bg-tile px-5 py-3 font-semibold text-on-tile focus:translate-y-0"
      >
        {t("shell.skip")}
      </a>
      <Header />
      <OfflineBanner />
      <main id="main" tabIndex={-1} className="page flex-1 pt-6 pb-28 outline-none md:pb-12">
        <ErrorBoundary resetKey={key}>
          <Suspense fallback={<SkeletonList />}>
            <Page key={key} params={found?.params ?? {}} />
          </Suspense>
        </ErrorBoundary>
      </main>
      <Footer />
      <BottomNavigation />
      <Toasts />
      <LiveRegion />
    </div>
  );
}
