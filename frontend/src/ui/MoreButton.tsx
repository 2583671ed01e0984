import { useI18n } from "@/i18n/i18n";
import { Button } from "./Button";

type List = { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => unknown };

/** The next page of a list, where there is one. */
export function MoreButton({ list, label }: { list: List; label?: string }) {
  const { t } = useI18n();
  if (!list.hasNextPage) return null;
  return (
    <Button busy={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
      {label ?? t("shell.more")}
    </Button>
  );
}
