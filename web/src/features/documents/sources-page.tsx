import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import type { NamedFile } from "../../api/documents.ts";
import { createSource, refreshSources, sourcesQuery } from "../../api/sources.ts";
import type { Source } from "../../api/types.ts";
import { startUpload } from "../../api/uploads.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import cards from "../../ui/cards.module.css";
import { Loading, Page } from "../../ui/page.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import { DropArea } from "./drop-area.tsx";
import { NewSource } from "./new-source.tsx";
import css from "./sources-page.module.css";
import { StateCounts } from "./state-counts.tsx";

/** All sources; on an empty installation, the place to drop the first files. */
export function SourcesPage() {
  const { t } = useI18n();
  const client = useQueryClient();
  const navigate = useNavigate();
  const sources = useQuery(sourcesQuery());
  const first = useMutation({
    mutationFn: async (files: NamedFile[]) => {
      const source = await createSource({ name: t("documents.firstSource") });
      void startUpload(source.id, files).then(() => refreshSources(client));
      return source;
    },
    onSuccess: async (source) => {
      await refreshSources(client);
      await navigate({ to: "/sources/$sourceId", params: { sourceId: source.id } });
    },
  });
  const items = sources.data?.items;
  return (
    <Page
      title={t("documents.title")}
      lead={t("documents.lead")}
      actions={items && items.length > 0 ? <NewSource emphasis="primary" /> : undefined}
    >
      {sources.isError ? (
        <ProblemView cause={sources.error} onRetry={() => void sources.refetch()} />
      ) : items === undefined ? (
        <Loading label={t("app.loading")} />
      ) : items.length === 0 ? (
        <div className={css.first}>
          <DropArea
            large
            title={t("documents.none.title")}
            hint={`${t("documents.none.body")} ${t("source.drop.hint")}`}
            label={t("documents.none.title")}
            onFiles={(files) => first.mutate(files)}
          />
          {first.isError && <ProblemView cause={first.error} />}
          <NewSource emphasis="quiet" />
        </div>
      ) : (
        <ul className={cards.grid}>
          {items.map((source) => (
            <SourceCard key={source.id} source={source} />
          ))}
        </ul>
      )}
    </Page>
  );
}

function SourceCard({ source }: { source: Source }) {
  const { t } = useI18n();
  return (
    <li className={cards.card}>
      <h2 className={cards.name}>
        <Link to="/sources/$sourceId" params={{ sourceId: source.id }}>
          {source.name}
        </Link>
      </h2>
      {source.description && <p className={cards.description}>{source.description}</p>}
      <StateCounts source={source} />
      <p className={cards.facts}>
        <span>{t("documents.count", { n: source.document_count })}</span>
        <span>{t("documents.chunks", { n: source.chunk_count })}</span>
      </p>
    </li>
  );
}
