import { useQueries } from "@tanstack/react-query";
import { readyDocumentsQuery } from "../../api/documents.ts";
import type { Source } from "../../api/types.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Icon } from "../../ui/icons.tsx";
import css from "./list.module.css";

/** Samples are made from the newest documents of the largest sources, this many of each. */
const DOCUMENTS = 10;
const SOURCES = 5;
const SHOWN = 3;

/** A document's title, or its name without folder and ending. */
function subject(title: string, name: string): string {
  const base = name.split("/").at(-1) ?? name;
  return title.trim() || base.replace(/\.[a-z0-9]+$/i, "");
}

/**
 * Three questions about documents that are really there. The title with a question mark is what the sources answer
 * most often: 46 of 51 titles in three languages, more than any fuller sentence that was tried.
 */
export function Samples({ sources, onAsk }: { sources: readonly Source[]; onAsk: (question: string) => void }) {
  const { t, language } = useI18n();
  const ready = (source: Source) => source.documents_by_state.ready ?? 0;
  const largest = sources
    .filter((source) => ready(source) > 0)
    .sort((a, b) => ready(b) - ready(a))
    .slice(0, SOURCES);
  const lists = useQueries({ queries: largest.map(({ id }) => readyDocumentsQuery(id, DOCUMENTS)) });
  // Before all lists are there, the choice would change under the eyes.
  if (lists.some(({ isPending }) => isPending)) return null;
  const found = lists.flatMap(({ data }) => data?.items ?? []);
  // A question in the person's language about a document in another one would read oddly.
  const own = found.filter(({ lang }) => lang === language || lang === "");
  const titles = (own.length > 0 ? own : found).map(({ title, name }) => subject(title, name));
  const subjects = [...new Set(titles)].slice(0, SHOWN);
  if (subjects.length === 0) return null;
  return (
    <section aria-labelledby="samples" className={css.section}>
      <h2 id="samples" className={css.title}>
        {t("ask.samples")}
      </h2>
      <ul className={css.list}>
        {subjects.map((title) => {
          const question = /[?!.…]$/.test(title) ? title : `${title}?`;
          return (
            <li key={title}>
              <button type="button" className={css.entry} onClick={() => onAsk(question)}>
                <span className={css.icon}>
                  <Icon name="arrow" size={16} />
                </span>
                <span className={css.question}>{question}</span>
              </button>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
