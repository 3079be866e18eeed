import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useRef } from "react";
import { deleteDocument, documentsQuery, retryDocument } from "../../api/documents.ts";
import { refreshSources } from "../../api/sources.ts";
import { DOCUMENT_STATES, type Document, type DocumentState, type Source } from "../../api/types.ts";
import { formatBytes, formatTime, formatWhen } from "../../lib/format.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import { ConfirmDialog } from "../../ui/dialog.tsx";
import { Icon } from "../../ui/icons.tsx";
import { Loading } from "../../ui/page.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import css from "./document-list.module.css";
import { StateBadge } from "./state-counts.tsx";

/** The documents of a source, filtered by state, a page at a time. */
export function DocumentList({ source, state }: { source: Source; state: DocumentState | undefined }) {
  const { t } = useI18n();
  const list = useInfiniteQuery(documentsQuery(source.id, state));
  const section = useRef<HTMLElement>(null);
  const documents = list.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <section ref={section} tabIndex={-1} className={css.section} aria-label={t("source.table", { name: source.name })}>
      <Filter source={source} state={state} />
      {list.isError ? (
        <ProblemView cause={list.error} onRetry={() => void list.refetch()} />
      ) : list.isPending ? (
        <Loading label={t("app.loading")} />
      ) : documents.length === 0 ? (
        <p className={css.empty}>{t(state ? "source.empty.filtered" : "source.empty")}</p>
      ) : (
        <div className={css.box}>
          <table className={css.table}>
            <caption className="visually-hidden">{t("source.table", { name: source.name })}</caption>
            <thead>
              <tr>
                <th scope="col">{t("document.name")}</th>
                <th scope="col">{t("document.state")}</th>
                <th scope="col" className={css.number}>
                  {t("document.size")}
                </th>
                <th scope="col" className={css.changed}>
                  {t("document.changed")}
                </th>
                <th scope="col">
                  <span className="visually-hidden">{t("document.actions")}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {documents.map((document) => (
                <DocumentRow
                  key={document.id}
                  document={document}
                  now={list.dataUpdatedAt}
                  // The button that had the focus goes with its row: the list takes it.
                  onDeleted={() => section.current?.focus()}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {list.hasNextPage && (
        <Button isDisabled={list.isFetchingNextPage} onPress={() => void list.fetchNextPage()}>
          {list.isFetchingNextPage ? t("app.loading") : t("app.more")}
        </Button>
      )}
    </section>
  );
}

/** Links, because which documents are shown is part of the address. */
function Filter({ source, state }: { source: Source; state: DocumentState | undefined }) {
  const { t, language } = useI18n();
  const number = new Intl.NumberFormat(language);
  const present = DOCUMENT_STATES.filter((each) => (source.documents_by_state[each] ?? 0) > 0 || each === state);
  if (source.document_count === 0 && state === undefined) return null;
  const entries = [
    { key: undefined, label: t("source.filter.all"), count: source.document_count },
    ...present.map((each) => ({
      key: each,
      label: t(`document.state.${each}`),
      count: source.documents_by_state[each] ?? 0,
    })),
  ];
  return (
    <nav className={css.filter} aria-label={t("source.filter")}>
      {entries.map(({ key, label, count }) => (
        <Link
          key={label}
          to="/sources/$sourceId"
          params={{ sourceId: source.id }}
          search={{ state: key }}
          resetScroll={false}
          activeProps={{}}
          className={key === state ? `${css.tab} ${css.current}` : css.tab}
          aria-current={key === state ? "true" : undefined}
        >
          {label} <span className={css.count}>{number.format(count)}</span>
        </Link>
      ))}
    </nav>
  );
}

function DocumentRow({ document, now, onDeleted }: { document: Document; now: number; onDeleted: () => void }) {
  const { t, language } = useI18n();
  const client = useQueryClient();
  const refresh = () => refreshSources(client);
  const retry = useMutation({ mutationFn: () => retryDocument(document.id), onSuccess: refresh });
  const remove = useMutation({
    mutationFn: () => deleteDocument(document.id),
    onSuccess: async () => {
      await refresh();
      onDeleted();
    },
  });
  const { name, title, state, error } = document;
  const problem = retry.error ?? remove.error;
  return (
    <tr className={css.tr} data-document={name} data-state={state}>
      <th scope="row" className={css.name}>
        {state === "ready" ? (
          <Link to="/documents/$documentId" params={{ documentId: document.id }}>
            {name}
          </Link>
        ) : (
          name
        )}
        {title !== "" && title !== name && <span className={css.title}>{title}</span>}
        {error && state === "failed" && <span className={css.reason}>{error.message}</span>}
        {document.duplicate_of && <span className={css.title}>{t("document.duplicate")}</span>}
        {problem && <ProblemView cause={problem} />}
      </th>
      <td className={css.state}>
        <StateBadge state={state} />
        {state === "ready" && !document.embedded && (
          <span className={css.words} title={t("document.notEmbedded.hint")}>
            {t("document.notEmbedded")}
          </span>
        )}
      </td>
      <td className={css.number}>{formatBytes(document.size, language)}</td>
      <td className={css.changed}>
        <time dateTime={document.updated_at} title={formatTime(document.updated_at, language)}>
          {formatWhen(document.updated_at, now, language)}
        </time>
      </td>
      <td className={css.actions}>
        {(state === "failed" || state === "canceled") && (
          <Button
            emphasis="secondary"
            small
            isDisabled={retry.isPending}
            aria-label={t("document.retry.label", { name })}
            onPress={() => retry.mutate()}
          >
            <Icon name="retry" size={15} /> {t("document.retry")}
          </Button>
        )}
        <ConfirmDialog
          title={t("document.delete.title", { name })}
          body={t("document.delete.body")}
          confirm={t("document.delete.confirm")}
          onConfirm={() => remove.mutate()}
          trigger={
            <Button
              emphasis="quiet"
              small
              isDisabled={remove.isPending}
              aria-label={t("document.delete.label", { name })}
            >
              <Icon name="trash" size={16} />
            </Button>
          }
        />
      </td>
    </tr>
  );
}
