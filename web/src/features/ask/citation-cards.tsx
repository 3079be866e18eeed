import { Link } from "@tanstack/react-router";
import type { Ref } from "react";
import type { Citation } from "../../api/types.ts";
import { formatScore } from "../../lib/format.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Icon } from "../../ui/icons.tsx";
import css from "./citation-cards.module.css";

/** The cited text without the titles it may begin with, which the card shows above it, and without empty lines. */
function snippet({ heading, text }: Citation): string {
  let rest = text.trim();
  for (const title of heading.split(" > ")) {
    if (title !== "" && rest.startsWith(`${title}\n`)) rest = rest.slice(title.length).trimStart();
  }
  return rest.replace(/\n{2,}/g, "\n");
}

/** The passages behind an answer, each leading into its document. */
export function CitationCards({
  ref,
  title,
  citations,
  askId,
  active,
  onActive,
}: {
  ref: Ref<HTMLElement>;
  title: string;
  citations: readonly Citation[];
  askId: string;
  active: number | undefined;
  onActive: (n: number) => void;
}) {
  const { t, language } = useI18n();
  return (
    <section ref={ref} aria-labelledby="citations" className={css.cards}>
      <h3 id="citations" className={css.title}>
        {title}
      </h3>
      <ol className={css.list}>
        {citations.map((citation) => (
          <li
            key={citation.n}
            data-citation={citation.n}
            className={active === citation.n ? `${css.card} ${css.active}` : css.card}
          >
            <div className={css.head}>
              <span className={css.n} aria-hidden="true">
                {citation.n}
              </span>
              <Link
                to="/documents/$documentId"
                params={{ documentId: citation.document_id }}
                search={{ start: citation.start, end: citation.end, ask: askId }}
                className={css.document}
                aria-label={`${citation.n}. ${t("ask.citation.open", { document: citation.document })}`}
                onFocus={() => onActive(citation.n)}
              >
                <span className={css.name} title={citation.document}>
                  {citation.document}
                </span>
              </Link>
            </div>
            {citation.heading && <p className={css.heading}>{citation.heading.replaceAll(" > ", " › ")}</p>}
            <blockquote className={css.text}>{snippet(citation)}</blockquote>
            <p className={css.foot}>
              <span>{citation.source}</span>
              {citation.page != null && <span>{t("ask.citation.page", { n: citation.page })}</span>}
              <span>{t("ask.citation.score", { score: formatScore(citation.score, language) })}</span>
              <span className={css.go} aria-hidden="true">
                {t("ask.citation.read")} <Icon name="arrow" size={14} />
              </span>
            </p>
          </li>
        ))}
      </ol>
    </section>
  );
}
