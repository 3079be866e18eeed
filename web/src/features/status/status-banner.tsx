import { useQuery } from "@tanstack/react-query";
import { type ServerState, serverQuery } from "../../api/system.ts";
import { type MessageKey, type Params, useI18n } from "../../lib/i18n/index.ts";
import { Banner, CodeText } from "../../ui/banner.tsx";
import css from "./status.module.css";

interface News {
  readonly key: MessageKey;
  readonly params?: Params;
  readonly tone: "info" | "warn" | "bad";
}

/** Parts whose absence is the normal empty configuration and needs no banner: answers are then extractive. */
const OPTIONAL: ReadonlySet<string> = new Set(["chat_model"]);

/** The one thing worth saying about the server's state, or nothing. */
export function newsOf(server: ServerState | undefined): News | undefined {
  if (!server) return undefined;
  if (server.kind === "lost") return { key: "status.banner.lost", tone: "bad" };
  const { report, available } = server;
  if (!available) {
    const warming = report.status === "warming";
    return { key: warming ? "status.banner.warming" : "status.banner.maintenance", tone: warming ? "info" : "bad" };
  }
  const embedder = report.dependencies?.embedder?.status;
  if (report.status === "warming") return { key: "status.banner.warming", tone: "info" };
  if (embedder === "loading") return { key: "status.banner.embedderLoading", tone: "info" };
  const degraded = (report.degraded ?? []).filter((part) => !OPTIONAL.has(part));
  if (degraded.includes("read_only")) return { key: "status.banner.readOnly", tone: "warn" };
  if (degraded.includes("embedder")) return { key: "status.banner.embedder", tone: "warn" };
  if (degraded.length > 0) {
    return { key: "status.banner.other", params: { parts: degraded.join(", ") }, tone: "warn" };
  }
  return undefined;
}

/** News about the server above every view. It is announced politely when it changes. */
export function StatusBanner() {
  const { t } = useI18n();
  const server = useQuery(serverQuery());
  const news = newsOf(server.data);
  return (
    <div role="status" className={css.banner}>
      {news && (
        <div className={css.inner}>
          <Banner tone={news.tone}>
            <CodeText text={t(news.key, news.params)} />
          </Banner>
        </div>
      )}
    </div>
  );
}
