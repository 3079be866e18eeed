import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { ApiError } from "../../api/client.ts";
import type { NamedFile } from "../../api/documents.ts";
import { deleteSource, refreshSources, sourceQuery } from "../../api/sources.ts";
import type { Source } from "../../api/types.ts";
import { dismissRefusals, startUpload, useUpload } from "../../api/uploads.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Banner } from "../../ui/banner.tsx";
import { Button, buttonClass } from "../../ui/button.tsx";
import { ConfirmDialog } from "../../ui/dialog.tsx";
import { Icon } from "../../ui/icons.tsx";
import { Loading, Page } from "../../ui/page.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import { Progress } from "../../ui/progress.tsx";
import { DocumentList } from "./document-list.tsx";
import { DropArea } from "./drop-area.tsx";
import { EditSource } from "./edit-source.tsx";
import css from "./source-page.module.css";
import { type Landing, useSourceEvents } from "./use-source-events.ts";

const route = getRouteApi("/sources/$sourceId");

/** One source: files come in, are read live, can be filtered, retried and deleted. */
export function SourcePage() {
  const { t } = useI18n();
  const { sourceId } = route.useParams();
  const source = useQuery(sourceQuery(sourceId));
  const back = (
    <Link to="/documents" className={css.back}>
      <Icon name="back" size={15} /> {t("source.back")}
    </Link>
  );
  if (source.isError) {
    const missing = source.error instanceof ApiError && source.error.status === 404;
    return (
      <Page title={missing ? t("notFound.title") : t("error.title")} eyebrow={back} narrow>
        <ProblemView cause={source.error} onRetry={missing ? undefined : () => void source.refetch()} />
      </Page>
    );
  }
  if (!source.data) {
    return (
      <Page title={t("documents.title")} eyebrow={back}>
        <Loading label={t("app.loading")} />
      </Page>
    );
  }
  return <SourceView key={sourceId} source={source.data} back={back} />;
}

function SourceView({ source, back }: { source: Source; back: React.ReactNode }) {
  const { t } = useI18n();
  const client = useQueryClient();
  const navigate = route.useNavigate();
  const { state } = route.useSearch();
  const { live, landing } = useSourceEvents(source.id);
  const remove = useMutation({
    mutationFn: () => deleteSource(source.id),
    onSuccess: async () => {
      await navigate({ to: "/documents" });
      client.removeQueries({ queryKey: ["sources", source.id] });
      await refreshSources(client);
    },
  });
  const onFiles = (files: NamedFile[]) => {
    const sent = startUpload(source.id, files);
    void refreshSources(client);
    void sent.then(() => refreshSources(client));
  };
  return (
    <Page
      title={source.name}
      eyebrow={back}
      lead={source.description || undefined}
      actions={
        <>
          <Link to="/" search={{ sources: source.id }} className={buttonClass("secondary")}>
            {t("source.ask")}
          </Link>
          <EditSource source={source} />
          <ConfirmDialog
            title={t("source.delete.title", { name: source.name })}
            body={t("source.delete.body", { n: source.document_count })}
            confirm={t("source.delete.confirm")}
            onConfirm={() => remove.mutate()}
            trigger={
              <Button emphasis="quiet" isDisabled={remove.isPending}>
                <Icon name="trash" /> {t("source.delete")}
              </Button>
            }
          />
        </>
      }
    >
      {remove.isError && <ProblemView cause={remove.error} />}
      <DropArea
        title={t("source.drop.title")}
        hint={t("source.drop.hint")}
        label={t("source.drop.label", { name: source.name })}
        onFiles={onFiles}
      />
      <UploadNews sourceId={source.id} />
      {!live && <Banner tone="warn">{t("source.live.lost")}</Banner>}
      <Reading source={source} />
      <DocumentList source={source} state={state} />
      <LandingNews landing={landing} />
    </Page>
  );
}

/** How much of the source has been read, while something is left to read. */
function Reading({ source }: { source: Source }) {
  const { t } = useI18n();
  const by = source.documents_by_state;
  const waiting = (by.queued ?? 0) + (by.running ?? 0);
  if (waiting === 0) return null;
  const ready = source.document_count - waiting;
  return (
    <Progress
      label={t("source.progress")}
      text={t("source.progress.text", { ready, total: source.document_count })}
      value={ready}
      max={source.document_count}
    />
  );
}

/** Files on their way to the server, and those it refused. */
function UploadNews({ sourceId }: { sourceId: string }) {
  const { t } = useI18n();
  const { total, done, refused } = useUpload(sourceId);
  if (total === 0) return null;
  return (
    <div className={css.uploads}>
      {done < total && (
        <Progress
          label={t("source.uploading", { done, total })}
          text={t("source.uploading", { done, total })}
          value={done}
          max={total}
        />
      )}
      <p role="status" className="visually-hidden">
        {done === total ? t("source.uploaded", { n: total - refused.length }) : ""}
      </p>
      {refused.length > 0 && (
        <Banner
          tone="bad"
          action={
            <Button emphasis="quiet" small onPress={() => dismissRefusals(sourceId)}>
              {t("source.uploadFailed.dismiss")}
            </Button>
          }
        >
          <p role="alert">{t("source.uploadFailed", { n: refused.length })}</p>
          <ul className={css.refused}>
            {refused.slice(0, 20).map(({ name, error }) => (
              <li key={name}>
                <strong>{name}</strong>: {error.network ? t("error.network") : error.message}
              </li>
            ))}
          </ul>
        </Banner>
      )}
    </div>
  );
}

/** Says to a screen reader that a document has been read, or why it could not be. */
function LandingNews({ landing }: { landing: Landing | undefined }) {
  const { t } = useI18n();
  return (
    <p role="status" className="visually-hidden">
      {landing
        ? landing.state === "ready"
          ? t("source.announce.ready", { name: landing.name })
          : t("source.announce.failed", { name: landing.name, reason: landing.reason })
        : ""}
    </p>
  );
}
