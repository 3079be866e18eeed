import { useQuery, useQueryClient } from "@tanstack/react-query";
import { switchTenant } from "../../api/session.ts";
import { meQuery } from "../../api/system.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Page } from "../../ui/page.tsx";
import css from "./account.module.css";
import { ApiKeys } from "./api-keys.tsx";
import { Password } from "./password.tsx";

/** Who is signed in, what that allows, and the keys that programs use. */
export function AccountPage() {
  const { t } = useI18n();
  const client = useQueryClient();
  const me = useQuery(meQuery()).data;
  if (!me) return null;
  return (
    <Page
      title={t("account.title")}
      lead={t("account.lead")}
      actions={me.email && me.session ? <Password /> : undefined}
    >
      {me.must_change && (
        <p role="alert" className={css.must}>
          {t("account.mustChange")}
        </p>
      )}
      <dl className={css.facts}>
        <dt>{t("account.name")}</dt>
        <dd>
          {me.principal.name}
          {me.email && me.email !== me.principal.name && ` · ${me.email}`}
        </dd>
        <dt>{t("account.tenant")}</dt>
        <dd>
          {me.tenants.length > 1 && me.session ? (
            <select
              className={css.tenants}
              aria-label={t("account.tenant")}
              value={me.tenant.slug}
              onChange={(event) => {
                // Everything on the page is of the tenant of before.
                void switchTenant(event.target.value).then(() => client.resetQueries());
              }}
            >
              {me.tenants.map((tenant) => (
                <option key={tenant.slug} value={tenant.slug}>
                  {tenant.name}
                </option>
              ))}
            </select>
          ) : (
            me.tenant.name
          )}
        </dd>
        <dt>{t("account.roles")}</dt>
        <dd>{me.principal.roles.join(", ")}</dd>
      </dl>
      <ApiKeys rights={me.principal.rights} />
    </Page>
  );
}
