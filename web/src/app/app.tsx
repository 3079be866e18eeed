import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { useState } from "react";
import type { Catalogue, Language } from "../lib/i18n/index.ts";
import { LanguageProvider } from "./language.tsx";
import { createQueryClient } from "./query.ts";
import { createAppRouter } from "./router.tsx";

/** The whole page. Tests give it a router over a memory history. */
export function App({
  language,
  catalogue,
  router: given,
}: {
  language: Language;
  catalogue: Catalogue;
  router?: ReturnType<typeof createAppRouter>;
}) {
  const [client] = useState(createQueryClient);
  const [router] = useState(() => given ?? createAppRouter());
  return (
    <LanguageProvider language={language} catalogue={catalogue}>
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </LanguageProvider>
  );
}
