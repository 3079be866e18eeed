import { expect, test } from "vitest";
import { en } from "./en.ts";
import { type Catalogue, LANGUAGES, loadCatalogue, type MessageKey, matchLanguage, translator } from "./index.ts";

const KEYS = Object.keys(en) as MessageKey[];

function names(message: Catalogue[MessageKey]): string[] {
  const texts = typeof message === "string" ? [message] : Object.values(message);
  const found = texts.map((text) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort());
  return [...new Set(found.flat())].sort() as string[];
}

test.each(LANGUAGES)("every message exists in %s, says something and takes the same values", async (language) => {
  const catalogue = await loadCatalogue(language);
  expect(Object.keys(catalogue).sort()).toEqual([...KEYS].sort());
  for (const key of KEYS) {
    const message = catalogue[key];
    const texts = typeof message === "string" ? [message] : Object.values(message);
    for (const text of texts) expect(text.trim(), key).not.toBe("");
    expect(names(message), key).toEqual(names(en[key]));
  }
});

test.each(LANGUAGES)("a message that counts has every plural form of %s", async (language) => {
  const catalogue = await loadCatalogue(language);
  const rules = new Intl.PluralRules(language);
  for (const key of KEYS) {
    const message = catalogue[key];
    if (typeof message === "string") continue;
    for (let n = 0; n <= 125; n++) expect(message, `${key} ${n}`).toHaveProperty(rules.select(n));
  }
});

test("a count chooses its form and is written as its language writes numbers", async () => {
  const pl = translator("pl", await loadCatalogue("pl"));
  expect(pl("documents.count", { n: 1 })).toBe("1 dokument");
  expect(pl("documents.count", { n: 3 })).toBe("3 dokumenty");
  expect(pl("documents.count", { n: 12 })).toBe("12 dokumentów");
  const ru = translator("ru", await loadCatalogue("ru"));
  expect(ru("documents.count", { n: 21 })).toBe("21 документ");
  expect(translator("en", en)("documents.count", { n: 12345 })).toBe("12,345 documents");
});

test("a value is put in as text and never read as a pattern", () => {
  expect(translator("en", en)("documents.open", { name: "$& {n}" })).toBe("Open $& {n}");
});

test("the first language of the browser that the page speaks is taken", () => {
  expect(matchLanguage(["de-DE", "ru-RU", "pl"])).toBe("ru");
  expect(matchLanguage(["pl-PL"])).toBe("pl");
  expect(matchLanguage(["fr"])).toBe("en");
});
