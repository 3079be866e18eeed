import { createContext, useContext } from "react";
import { en } from "./en.ts";

/** The languages the page speaks. */
export const LANGUAGES = ["en", "pl", "ru"] as const;
/** A language of the page. */
export type Language = (typeof LANGUAGES)[number];

/** Forms of a message that counts, by CLDR plural category; `other` is the fallback. */
export type Plural = Partial<Record<Intl.LDMLPluralRule, string>> & { readonly other: string };
/** The name of a message. */
export type MessageKey = keyof typeof en;
/** All messages of one language. */
export type Catalogue = { readonly [K in MessageKey]: (typeof en)[K] extends string ? string : Plural };
/** Values for the `{names}` of a message; `n` chooses the plural form. */
export type Params = Readonly<Record<string, string | number>>;
/** A function from message name to text. */
export type Translate = (key: MessageKey, params?: Params) => string;

const KEY = "astrolabe.language";

/** The name of each language in itself, for the switch. */
export const LANGUAGE_NAMES: Readonly<Record<Language, string>> = { en: "English", pl: "Polski", ru: "Русский" };

/** Loads the texts of a language. English is always there; the others are files of their own. */
export async function loadCatalogue(language: Language): Promise<Catalogue> {
  if (language === "pl") return (await import("./pl.ts")).pl;
  if (language === "ru") return (await import("./ru.ts")).ru;
  return en;
}

/** The first language of the browser that the page speaks, or English. */
export function matchLanguage(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const base = tag.toLowerCase().split("-")[0];
    const found = LANGUAGES.find((language) => language === base);
    if (found) return found;
  }
  return "en";
}

/** The remembered language, else the browser's. */
export function initialLanguage(): Language {
  try {
    const stored = localStorage.getItem(KEY);
    if (stored) return matchLanguage([stored]);
  } catch {
    // Without storage the browser's languages decide.
  }
  return matchLanguage(navigator.languages);
}

/** Remembers a chosen language in this browser. */
export function rememberLanguage(language: Language): void {
  try {
    localStorage.setItem(KEY, language);
  } catch {
    // A browser that refuses storage still gets the language for this visit.
  }
}

/** Makes the translate function of a language. */
export function translator(language: Language, catalogue: Catalogue): Translate {
  const rules = new Intl.PluralRules(language);
  const numbers = new Intl.NumberFormat(language);
  return (key, params) => {
    const message: string | Plural = catalogue[key];
    const text =
      typeof message === "string" ? message : (message[rules.select(Number(params?.n ?? 0))] ?? message.other);
    if (!params) return text;
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
      const value = params[name];
      return value === undefined ? whole : typeof value === "number" ? numbers.format(value) : value;
    });
  };
}

/** What components need to speak: the language, its texts, and the switch. */
export interface I18n {
  readonly language: Language;
  readonly t: Translate;
  readonly setLanguage: (language: Language) => void;
}

/** The page's language; the provider is in `app`. */
export const I18nContext = createContext<I18n>({
  language: "en",
  t: translator("en", en),
  setLanguage: () => undefined,
});

/** The language and its texts, for components. */
export function useI18n(): I18n {
  return useContext(I18nContext);
}
