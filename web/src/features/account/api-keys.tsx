import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import { apiKeysQuery, makeApiKey, revokeApiKey } from "../../api/keys.ts";
import type { ApiKey, MadeApiKey, Right } from "../../api/types.ts";
import { formatTime, formatWhen } from "../../lib/format.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import { ConfirmDialog, Dialog, dialogActions } from "../../ui/dialog.tsx";
import form from "../../ui/form.module.css";
import { Icon } from "../../ui/icons.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import rows from "../../ui/rows.module.css";
import { Section } from "../../ui/section.tsx";
import css from "./account.module.css";

/** Days that a new key can be made for; 0 is for ever. */
const LIVES = [30, 90, 365, 0] as const;

/** The keys of the signed-in person, and the way to a new one. `rights` are those that a key can be made for. */
export function ApiKeys({ rights }: { rights: readonly Right[] }) {
  const { t } = useI18n();
  const keys = useInfiniteQuery(apiKeysQuery());
  return (
    <Section title={t("keys.title")} none={t("keys.none")} list={keys} actions={<NewKey rights={rights} />}>
      {(keys.data?.pages.flatMap((page) => page.items) ?? []).map((key) => (
        <KeyRow key={key.id} apiKey={key} now={keys.dataUpdatedAt} />
      ))}
    </Section>
  );
}

function KeyRow({ apiKey, now }: { apiKey: ApiKey; now: number }) {
  const { t, language } = useI18n();
  const client = useQueryClient();
  const revoke = useMutation({
    mutationFn: () => revokeApiKey(apiKey.id),
    onSettled: () => client.invalidateQueries({ queryKey: ["api-keys"] }),
  });
  const over = apiKey.expires_at != null && Date.parse(apiKey.expires_at) <= now;
  const ended = apiKey.revoked_at != null || over;
  return (
    <li className={rows.row}>
      <span className={ended ? `${css.name} ${css.ended}` : css.name}>
        {apiKey.name} <code className={css.hint}>…{apiKey.hint}</code>
      </span>
      <span className={rows.rest}>{apiKey.scopes ? apiKey.scopes.join(", ") : t("keys.all")}</span>
      <span className={rows.when}>
        {apiKey.revoked_at
          ? t("keys.revoked")
          : over
            ? t("keys.over")
            : apiKey.expires_at
              ? t("keys.until", { when: formatTime(apiKey.expires_at, language) })
              : t("keys.forever")}
        {" · "}
        {apiKey.last_used_at
          ? t("keys.used", { when: formatWhen(apiKey.last_used_at, now, language) })
          : t("keys.unused")}
      </span>
      {!ended && (
        <ConfirmDialog
          trigger={
            <Button
              small
              emphasis="quiet"
              isDisabled={revoke.isPending}
              aria-label={`${t("keys.revoke")}: ${apiKey.name}`}
            >
              {t("keys.revoke")}
            </Button>
          }
          title={t("keys.revoke.title", { name: apiKey.name })}
          body={t("keys.revoke.body")}
          confirm={t("keys.revoke")}
          onConfirm={() => revoke.mutate()}
        />
      )}
      {revoke.isError && <ProblemView cause={revoke.error} />}
    </li>
  );
}

function NewKey({ rights }: { rights: readonly Right[] }) {
  const { t } = useI18n();
  return (
    <Dialog
      title={t("keys.new")}
      trigger={
        <Button small>
          <Icon name="plus" /> {t("keys.new")}
        </Button>
      }
    >
      {(close) => <NewKeyForm rights={rights} onClose={close} />}
    </Dialog>
  );
}

function NewKeyForm({ rights, onClose }: { rights: readonly Right[]; onClose: () => void }) {
  const { t } = useI18n();
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [days, setDays] = useState<number>(90);
  const [all, setAll] = useState(false);
  const [chosen, setChosen] = useState<ReadonlySet<Right>>(new Set(rights.filter((r) => r === "read_knowledge")));
  const ids = { name: useId(), days: useId() };
  const make = useMutation({
    mutationFn: makeApiKey,
    onSuccess: () => client.invalidateQueries({ queryKey: ["api-keys"] }),
  });
  if (make.data) return <Secret made={make.data} onClose={onClose} />;
  const ready = name.trim() !== "" && (all || chosen.size > 0);
  return (
    <form
      className={form.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (!ready) return;
        make.mutate({
          name: name.trim(),
          scopes: all ? null : rights.filter((right) => chosen.has(right)),
          expires_in_days: days === 0 ? null : days,
        });
      }}
    >
      <div className={form.field}>
        <label htmlFor={ids.name}>{t("keys.new.name")}</label>
        <input
          id={ids.name}
          // biome-ignore lint/a11y/noAutofocus: an opened dialog takes the focus into its first field
          autoFocus
          required
          maxLength={100}
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
      </div>
      <div className={form.field}>
        <label htmlFor={ids.days}>{t("keys.new.life")}</label>
        <select id={ids.days} value={days} onChange={(event) => setDays(Number(event.target.value))}>
          {LIVES.map((life) => (
            <option key={life} value={life}>
              {life === 0 ? t("keys.forever") : t("keys.new.days", { n: life })}
            </option>
          ))}
        </select>
      </div>
      <fieldset className={form.group}>
        <legend>{t("keys.new.scopes")}</legend>
        <label className={form.check}>
          <input type="checkbox" checked={all} onChange={(event) => setAll(event.target.checked)} />
          {t("keys.new.all")}
        </label>
        {!all && (
          <div className={css.scopes}>
            {rights.map((right) => (
              <label key={right} className={form.check}>
                <input
                  type="checkbox"
                  checked={chosen.has(right)}
                  onChange={(event) => {
                    const next = new Set(chosen);
                    if (event.target.checked) next.add(right);
                    else next.delete(right);
                    setChosen(next);
                  }}
                />
                <code>{right}</code>
              </label>
            ))}
          </div>
        )}
      </fieldset>
      {make.isError && <ProblemView cause={make.error} />}
      <div className={dialogActions}>
        <Button onPress={onClose}>{t("app.cancel")}</Button>
        <Button emphasis="primary" type="submit" isDisabled={make.isPending || !ready}>
          {t("keys.new.make")}
        </Button>
      </div>
    </form>
  );
}

/** The secret of a new key: shown this once. */
function Secret({ made, onClose }: { made: MadeApiKey; onClose: () => void }) {
  const { t } = useI18n();
  const [copied, setCopied] = useState(false);
  return (
    <div className={form.form}>
      <p role="status">{t("keys.secret", { name: made.name })}</p>
      <code className={css.secret}>{made.secret}</code>
      <div className={dialogActions}>
        <Button
          onPress={() => {
            void navigator.clipboard.writeText(made.secret).then(() => setCopied(true));
          }}
        >
          <Icon name={copied ? "check" : "copy"} /> {t(copied ? "ask.copied" : "keys.secret.copy")}
        </Button>
        <Button emphasis="primary" onPress={onClose}>
          {t("keys.secret.done")}
        </Button>
      </div>
    </div>
  );
}
