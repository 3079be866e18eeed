import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import { changePassword } from "../../api/session.ts";
import { meQuery } from "../../api/system.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog, dialogActions } from "../../ui/dialog.tsx";
import form from "../../ui/form.module.css";
import { ProblemView } from "../../ui/problem.tsx";

/** The button and dialog that change the password. */
export function Password() {
  const { t } = useI18n();
  return (
    <Dialog title={t("account.password")} trigger={<Button small>{t("account.password")}</Button>}>
      {(close) => <PasswordForm onClose={close} />}
    </Dialog>
  );
}

function PasswordForm({ onClose }: { onClose: () => void }) {
  const { t } = useI18n();
  const client = useQueryClient();
  const [current, setCurrent] = useState("");
  const [password, setPassword] = useState("");
  const ids = { current: useId(), password: useId(), hint: useId() };
  const change = useMutation({
    mutationFn: () => changePassword(current, password),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: meQuery().queryKey });
      onClose();
    },
  });
  const ready = current !== "" && password.length >= 12;
  return (
    <form
      className={form.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (ready) change.mutate();
      }}
    >
      <div className={form.field}>
        <label htmlFor={ids.current}>{t("account.password.current")}</label>
        <input
          id={ids.current}
          type="password"
          autoComplete="current-password"
          // biome-ignore lint/a11y/noAutofocus: an opened dialog takes the focus into its first field
          autoFocus
          required
          value={current}
          onChange={(event) => setCurrent(event.target.value)}
        />
      </div>
      <div className={form.field}>
        <label htmlFor={ids.password}>{t("account.password.new")}</label>
        <input
          id={ids.password}
          type="password"
          autoComplete="new-password"
          required
          minLength={12}
          maxLength={256}
          aria-describedby={ids.hint}
          value={password}
          onChange={(event) => setPassword(event.target.value)}
        />
        <p id={ids.hint} className={form.hint}>
          {t("account.password.hint")}
        </p>
      </div>
      {change.isError && <ProblemView cause={change.error} />}
      <div className={dialogActions}>
        <Button onPress={onClose}>{t("app.cancel")}</Button>
        <Button emphasis="primary" type="submit" isDisabled={change.isPending || !ready}>
          {t("source.edit.save")}
        </Button>
      </div>
    </form>
  );
}
