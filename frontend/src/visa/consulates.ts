import { queryOptions } from "@tanstack/react-query";
import { answer, api } from "@/api/client";

/** Those that can be told apart, with how many timelines each has. */
export const consulates = (country: string, visaType: string) =>
  queryOptions({
    queryKey: ["consulates", country, visaType],
    queryFn: () =>
      answer(
        api.GET("/api/v1/timelines/consulates", {
          params: { query: { country, visa_type: visaType } },
        }),
      ),
  });
