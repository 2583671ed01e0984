import { useI18n } from "@/i18n/i18n";
import { useSearch } from "@/routing/router";
import { Choices } from "@/ui/Tabs";
import type { FeedSort } from "./feedQuery";

/** The order is part of the address, so that it can be shared and gone back to. */
export function useSort(): [FeedSort, (sort: FeedSort) => void] {
  const [query, setQuery] = useSearch();
  const asked = query.get("sort");
  const sort = asked === "new" || asked === "top" ? asked : "hot";
  return [sort, (next) => setQuery({ sort: next === "hot" ? null : next })];
}

export function SortChoice({
  sort,
  onChange,
}: {
  sort: FeedSort;
  onChange: (sort: FeedSort) => void;
}) {
  const { t } = useI18n();
  return (
    <Choices
      label={t("feed.order")}
      value={sort}
      onChange={onChange}
      options={[
        { id: "hot", label: t("feed.hot") },
        { id: "new", label: t("feed.new") },
        { id: "top", label: t("feed.top") },
      ]}
    />
  );
}
