import { useMutation, useQuery } from "@tanstack/react-query";
import { useId, useState } from "react";
import { ApiError } from "../../api/client.ts";
import { signIn, signInFailure, signInMethods } from "../../api/session.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import form from "../../ui/form.module.css";
import { Mark } from "../../ui/mark.tsx";
import { Page } from "../../ui/page.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import css from "./sign-in-page.module.css";

/** Signs in with e-mail and password, or says where a one-time link comes from. The page notices by itself when one has been opened. */
export function SignInPage({ onCheck }: { onCheck: () => void }) {
  const { t } = useI18n();
  return (
    <Page eyebrow={<Mark size={56} />} title={t("session.title")} narrow>
      <ProviderLink />
      <PasswordForm onSignedIn={onCheck} />
      <section className={css.link} aria-labelledby="one-time-link">
        <h2 id="one-time-link" className={css.linkTitle}>
          {t("session.link")}
        </h2>
        <p className={css.waiting}>{t("session.body")}</p>
        <ol className={css.steps}>
          <li>
            <Command text={t("session.step.serve")} command="astrolabe serve" />
          </li>
          <li>
            <Command text={t("session.step.link")} command="astrolabe login-link" />
          </li>
        </ol>
        <div className={css.foot}>
          <Button onPress={onCheck}>{t("session.check")}</Button>
          <p className={css.waiting}>{t("session.waiting")}</p>
        </div>
      </section>
    </Page>
  );
}

/** The way to the provider of single sign-on, when there is one, and what became of the last try. */
function ProviderLink() {
  const { t } = useI18n();
  const { data } = useQuery(signInMethods());
  const failure = signInFailure(window.location.search);
  if (!data?.oidc) return null;
  return (
    <section className={css.provider} aria-label={t("session.oidc.label")}>
      {failure && (
        <p role="alert" className={css.wrong}>
          {t(`session.oidc.${failure}`, { name: data.oidc.name })}
        </p>
      )}
      <a className={css.providerLink} href={`${data.oidc.href}?return_to=${ownPath(window.location.pathname)}`}>
        {t("session.oidc", { name: data.oidc.name })}
      </a>
      <p className={css.or}>{t("session.or")}</p>
    </section>
  );
}

/** The server takes no other characters. */
function ownPath(path: string): string {
  return /^\/([A-Za-z0-9_.~-][A-Za-z0-9_.~/-]*)?$/.test(path) && path.length <= 500 ? path : "/";
}

function PasswordForm({ onSignedIn }: { onSignedIn: () => void }) {
  const { t } = useI18n();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [elsewhere, setElsewhere] = useState(false);
  const [tenant, setTenant] = useState("");
  const ids = { email: useId(), password: useId(), tenant: useId() };
  const enter = useMutation({
    mutationFn: () => signIn(email.trim(), password, elsewhere ? tenant.trim() : undefined),
    onSuccess: onSignedIn,
    onError: () => setPassword(""),
  });
  const ready = email.trim() !== "" && password !== "";
  const wrong = enter.error instanceof ApiError && enter.error.status === 401;
  return (
    <form
      className={form.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (ready) enter.mutate();
      }}
    >
      <div className={form.field}>
        <label htmlFor={ids.email}>{t("session.email")}</label>
        <input
          id={ids.email}
          type="email"
          autoComplete="username"
          required
          maxLength={254}
          value={email}
          onChange={(event) => setEmail(event.target.value)}
        />
      </div>
      <div className={form.field}>
        <label htmlFor={ids.password}>{t("session.password")}</label>
        <input
          id={ids.password}
          type="password"
          autoComplete="current-password"
          required
          maxLength={256}
          value={password}
          onChange={(event) => setPassword(event.target.value)}
        />
      </div>
      {elsewhere ? (
        <div className={form.field}>
          <label htmlFor={ids.tenant}>{t("session.tenant")}</label>
          <input id={ids.tenant} maxLength={63} value={tenant} onChange={(event) => setTenant(event.target.value)} />
        </div>
      ) : null}
      {wrong ? (
        <p role="alert" className={css.wrong}>
          {t("session.wrong")}
        </p>
      ) : (
        enter.isError && <ProblemView cause={enter.error} />
      )}
      <div className={css.foot}>
        <Button emphasis="primary" type="submit" isDisabled={enter.isPending || !ready}>
          {t("session.enter")}
        </Button>
        {!elsewhere && (
          <Button emphasis="quiet" onPress={() => setElsewhere(true)}>
            {t("session.elsewhere")}
          </Button>
        )}
      </div>
    </form>
  );
}

function Command({ text, command }: { text: string; command: string }) {
  const [before, after] = text.split("{command}");
  return (
    <p>
      {before}
      <code className={css.command}>{command}</code>
      {after}
    </p>
  );
}
