import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { type ReactNode, useEffect, useMemo, useRef } from "react";
import { ApiError } from "../../api/client.ts";
import { contentQuery, documentQuery } from "../../api/documents.ts";
import type { Document, DocumentContent } from "../../api/types.ts";
import { formatBytes } from "../../lib/format.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { cutSpan, type Span } from "../../lib/markup.ts";
import { scrollBehavior } from "../../lib/motion.ts";
import { Banner } from "../../ui/banner.tsx";
import { Button } from "../../ui/button.tsx";
import { Icon } from "../../ui/icons.tsx";
import { Loading, Page } from "../../ui/page.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import { Prose, spanElement } from "../../ui/prose.tsx";
import { type DocumentView, headingId, viewDocument } from "./document-view.ts";
import css from "./reader-page.module.css";

const route = getRouteApi("/documents/$documentId");

/** A document to read, with the cited passage marked, brought into view and given focus. */
export function ReaderPage() {
  const { t } = useI18n();
  const { documentId } = route.useParams();
  const search = route.useSearch();
  const document = useQuery(documentQuery(documentId));
  const content = useQuery(contentQuery(documentId));
  const error = content.error ?? document.error;
  const back = <Back askId={search.ask} document={document.data} />;

  if (error && !content.data) {
    const missing = error instanceof ApiError && error.status === 404;
    return (
      <Page title={missing ? t("notFound.title") : t("error.title")} eyebrow={back} narrow>
        {document.data && document.data.state !== "ready" ? (
          <Banner>{t("reader.notReady")}</Banner>
        ) : (
          <ProblemView
            cause={error}
            onRetry={missing ? undefined : () => void Promise.all([document.refetch(), content.refetch()])}
          />
        )}
      </Page>
    );
  }
  if (!content.data) {
    return (
      <Page title={document.data?.title ?? document.data?.name ?? t("nav.documents")} eyebrow={back}>
        <Loading label={t("app.loading")} />
      </Page>
    );
  }
  return <Reader content={content.data} document={document.data} start={search.start} end={search.end} back={back} />;
}

function Back({ askId, document }: { askId: string | undefined; document: Document | undefined }) {
  const { t } = useI18n();
  return (
    <span className={css.backs}>
      {askId && (
        <Link to="/" search={{ ask: askId }} className={css.back}>
          <Icon name="back" size={15} /> {t("reader.backToAnswer")}
        </Link>
      )}
      {document && (
        <Link to="/sources/$sourceId" params={{ sourceId: document.source_id }} className={css.back}>
          {!askId && <Icon name="back" size={15} />} {t("reader.backToSource")}
        </Link>
      )}
    </span>
  );
}

/** Brings the passage into the middle of the window and moves a screen reader to it. */
function goToPassage(passage: HTMLElement | null, smooth: boolean): void {
  passage?.scrollIntoView({ block: "center", behavior: smooth ? scrollBehavior() : "auto" });
  passage?.focus({ preventScroll: true });
}

function Reader({
  content,
  document,
  start,
  end,
  back,
}: {
  content: DocumentContent;
  document: Document | undefined;
  start: number | undefined;
  end: number | undefined;
  back: ReactNode;
}) {
  const { t, language } = useI18n();
  const view = useMemo(() => viewDocument(content, start, end), [content, start, end]);
  const passage = useRef<HTMLElement>(null);
  useEffect(() => {
    if (view.passage) goToPassage(passage.current, false);
  }, [view]);
  const title = content.title || content.name;
  // A text that begins with its own title needs no second one above it.
  const titled = view.blocks[0]?.kind === "heading" && view.blocks[0].level === 1;
  return (
    <Page
      title={titled ? content.name : title}
      tab={title}
      modest={titled}
      eyebrow={back}
      lead={
        <span className={css.facts}>
          {!titled && title !== content.name && <span>{content.name}</span>}
          {document && <span>{formatBytes(document.size, language)}</span>}
          {document && document.chunk_count > 0 && <span>{t("documents.chunks", { n: document.chunk_count })}</span>}
        </span>
      }
      actions={
        view.passage && (
          <Button onPress={() => goToPassage(passage.current, true)}>
            <Icon name="quote" /> {t("reader.toPassage")}
          </Button>
        )
      }
    >
      {view.outside && <Banner tone="warn">{t("reader.outside")}</Banner>}
      <div className={view.outline.length > 1 ? css.columns : undefined}>
        {view.outline.length > 1 && <Outline view={view} />}
        <article
          className={css.sheet}
          lang={document?.lang || undefined}
          data-claims-focus={view.passage ? "" : undefined}
        >
          {view.blocks.length === 0 ? <p>{t("reader.empty")}</p> : <Text view={view} passageRef={passage} />}
        </article>
      </div>
    </Page>
  );
}

function Text({ view, passageRef }: { view: DocumentView; passageRef: React.RefObject<HTMLElement | null> }) {
  const { t } = useI18n();
  const { passage, blocks } = view;
  // The passage may run over several blocks, each with a mark of its own: the first takes the focus.
  const marked = passage
    ? blocks.flatMap((block) => block.spans.filter((span) => span.end > passage.from && span.start < passage.to))
    : [];
  const first = marked[0]?.start;
  const last = marked.at(-1)?.start;
  const render = (spans: readonly Span[]): ReactNode => {
    if (!passage) return spans.map((span) => spanElement(span, `${span.start}`, span.text));
    const pieces = spans.flatMap((span) => cutSpan(span, passage.from, passage.to));
    const draw = (list: typeof pieces) => list.map(({ span }) => spanElement(span, `${span.start}`, span.text));
    const inside = pieces.filter((piece) => piece.inside);
    if (inside.length === 0) return draw(pieces);
    const holds = (start: number | undefined) => spans.some((span) => span.start === start);
    return (
      <>
        {draw(pieces.filter((piece) => !piece.inside && piece.span.end <= passage.from))}
        <mark
          ref={holds(first) ? passageRef : undefined}
          tabIndex={holds(first) ? -1 : undefined}
          className={css.mark}
          data-passage
        >
          {holds(first) && <span className="visually-hidden">{t("reader.passage.start")} </span>}
          {draw(inside)}
          {holds(last) && <span className="visually-hidden"> {t("reader.passage.end")}</span>}
        </mark>
        {draw(pieces.filter((piece) => !piece.inside && piece.span.start >= passage.to))}
      </>
    );
  };
  return <Prose blocks={blocks} top={2} render={render} anchor={headingId} className={css.text} />;
}

function Outline({ view }: { view: DocumentView }) {
  const { t } = useI18n();
  const top = Math.min(...view.outline.map(({ level }) => level));
  return (
    <nav className={css.outline} aria-labelledby="outline">
      <h2 id="outline" className={css.outlineTitle}>
        {t("reader.outline")}
      </h2>
      <ol>
        {view.outline.map(({ id, level, title }) => (
          <li key={id} className={css[`level${Math.min(level - top, 3)}`]}>
            <a
              href={`#${id}`}
              onClick={(event) => {
                event.preventDefault();
                const heading = window.document.getElementById(id);
                heading?.scrollIntoView({ behavior: scrollBehavior(), block: "start" });
                heading?.focus({ preventScroll: true });
              }}
            >
              {title}
            </a>
          </li>
        ))}
      </ol>
    </nav>
  );
}
