import { useQuery } from "@tanstack/react-query";
import { type ServerState, serverQuery, versionQuery } from "../../api/system.ts";
import { type MessageKey, useI18n } from "../../lib/i18n/index.ts";
import css from "./status.module.css";

type Light = "ok" | "busy" | "warn" | "bad";

function lightOf(server: ServerState): { light: Light; key: MessageKey } {
  if (server.kind === "lost" || !server.available) {
    const warming = server.kind === "report" && server.report.status === "warming";
    return warming ? { light: "busy", key: "status.warming" } : { light: "bad", key: "status.lost" };
  }
  if (server.report.status === "warming") return { light: "busy", key: "status.warming" };
  if (server.report.status === "degraded") return { light: "warn", key: "status.degraded" };
  return { light: "ok", key: "status.ready" };
}

/** The foot of every view: how the server is, whether it may connect out, and which build answers. */
export function StatusStrip() {
  const { t } = useI18n();
  const server = useQuery(serverQuery());
  const version = useQuery(versionQuery());
  const state = server.data ? lightOf(server.data) : undefined;
  const offline = server.data?.kind === "report" && server.data.report.offline === true;
  return (
    <footer className={css.strip}>
      <section className={css.items} aria-label={t("status.label")}>
        {state && (
          <span className={css.item}>
            <span className={`${css.light} ${css[state.light]}`} aria-hidden="true" />
            {t(state.key)}
          </span>
        )}
        {offline && (
          <span className={css.item} title={t("status.offline.hint")}>
            {t("status.offline")}
          </span>
        )}
        {version.data && (
          <span className={css.item} title={version.data.git_sha}>
            {t("status.version", { version: version.data.version })}
          </span>
        )}
      </section>
      <a href="/docs">{t("app.apiDocs")}</a>
    </footer>
  );
}
