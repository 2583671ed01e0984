import { WifiOff } from "lucide-react";
import { useEffect, useState, useSyncExternalStore } from "react";
import { useI18n } from "@/i18n/i18n";
import { useConnectionState } from "@/realtime/useStream";

/** A break this short mends itself before anybody needs to know. */
const GRACE_MS = 4_000;

/** Says that there is no connection, and stops saying it when there is one. */
export function OfflineBanner() {
  const { t } = useI18n();
  const online = useSyncExternalStore(
    watchNetwork,
    () => navigator.onLine,
    () => true,
  );
  const connecting = useConnectionState() === "connecting";
  const [long, setLong] = useState(false);
  useEffect(() => {
    if (!connecting) {
      setLong(false);
      return;
    }
    const timer = setTimeout(() => setLong(true), GRACE_MS);
    return () => clearTimeout(timer);
  }, [connecting]);
  const text = online ? (long ? t("shell.reconnecting") : "") : t("shell.offline");
  return (
    <div role="status" className="sticky top-16 z-20">
      {text && (
        <p className="flex items-center justify-center gap-2 bg-lamp px-4 py-2 text-sm font-semibold text-on-lamp">
          <WifiOff size={16} aria-hidden="true" />
          {text}
        </p>
      )}
    </div>
  );
}

function watchNetwork(listener: () => void): () => void {
  window.addEventListener("online", listener);
  window.addEventListener("offline", listener);
  return () => {
    window.removeEventListener("online", listener);
    window.removeEventListener("offline", listener);
  };
}
