import { createMemoryHistory } from "@tanstack/react-router";
import { render } from "@testing-library/react";
import { App } from "../src/app/app.tsx";
import { createAppRouter } from "../src/app/router.tsx";
import { type Language, loadCatalogue } from "../src/lib/i18n/index.ts";

/** Opens the page at an address, in a language. */
export async function open(address: string, language: Language = "en") {
  const history = createMemoryHistory({ initialEntries: [address] });
  const router = createAppRouter(history);
  const catalogue = await loadCatalogue(language);
  return { history, ...render(<App language={language} catalogue={catalogue} router={router} />) };
}
