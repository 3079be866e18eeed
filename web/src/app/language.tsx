import { type ReactNode, useEffect, useMemo, useState } from "react";
import { I18nProvider } from "react-aria-components/I18nProvider";
import {
  type Catalogue,
  I18nContext,
  type Language,
  loadCatalogue,
  rememberLanguage,
  translator,
} from "../lib/i18n/index.ts";

/** Gives the page its language, names it on the document, and lets it be changed. */
export function LanguageProvider({
  language: initial,
  catalogue: first,
  children,
}: {
  language: Language;
  catalogue: Catalogue;
  children: ReactNode;
}) {
  const [{ language, catalogue }, set] = useState({ language: initial, catalogue: first });
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  const value = useMemo(
    () => ({
      language,
      t: translator(language, catalogue),
      setLanguage: (next: Language) => {
        rememberLanguage(next);
        void loadCatalogue(next).then((texts) => set({ language: next, catalogue: texts }));
      },
    }),
    [language, catalogue],
  );
  return (
    <I18nContext value={value}>
      <I18nProvider locale={language}>{children}</I18nProvider>
    </I18nContext>
  );
}
