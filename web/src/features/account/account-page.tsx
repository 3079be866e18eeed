import { useQuery } from "@tanstack/react-query";
import { meQuery } from "../../api/system.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Page } from "../../ui/page.tsx";
import css from "./account.module.css";
import { ApiKeys } from "./api-keys.tsx";

/** Who is signed in, what that allows, and the keys that programs use. */
export function AccountPage() {
  const { t } = useI18n();
  const me = useQuery(meQuery()).data;
  if (!me) return null;
  return (
    <Page title={t("account.title")} lead={t("account.lead")}>
      <dl className={css.facts}>
        <dt>{t("account.name")}</dt>
        <dd>{me.principal.name}</dd>
        <dt>{t("account.tenant")}</dt>
        <dd>{me.tenant.name}</dd>
        <dt>{t("account.roles")}</dt>
        <dd>{me.principal.roles.join(", ")}</dd>
      </dl>
      <ApiKeys rights={me.principal.rights} />
    </Page>
  );
}
