import { QueryClient } from "@tanstack/react-query";
import { ApiError, onSignedOut } from "../api/client.ts";
import { meQuery } from "../api/system.ts";

/**
 * The page's cache. A refusal is final, a lost connection is tried again twice; a 401 anywhere makes the page
 * forget who was signed in, which brings up the sign-in view.
 */
export function createQueryClient(): QueryClient {
  const client = new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 5_000,
        retry: (failures, error) =>
          failures < 2 && (!(error instanceof ApiError) || error.status === 0 || error.status >= 500),
        retryDelay: (attempt) => 400 * 2 ** attempt,
      },
    },
  });
  onSignedOut(() => {
    const { queryKey } = meQuery();
    if (client.getQueryData(queryKey)) client.setQueryData(queryKey, null);
  });
  return client;
}
