import { type ReactNode, useId, useState } from "react";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import { dialogActions } from "../../ui/dialog.tsx";
import form from "../../ui/form.module.css";
import { ProblemView } from "../../ui/problem.tsx";

/** What every form about a source begins with. */
export interface Named {
  readonly name: string;
  readonly description: string;
}

/** The name and description of a source, trimmed; `undefined` while there is no name. */
export function useNamed(before: Named) {
  const [name, setName] = useState(before.name);
  const [description, setDescription] = useState(before.description);
  const given: Named | undefined =
    name.trim() === "" ? undefined : { name: name.trim(), description: description.trim() };
  return { name, setName, description, setDescription, given };
}

/** A form about a source with its name, its description, what else `children` ask for, and the way out. */
export function SourceForm({
  named: { name, setName, description, setDescription, given },
  submit,
  busy,
  cause,
  children,
  onSubmit,
  onClose,
}: {
  named: ReturnType<typeof useNamed>;
  submit: string;
  busy: boolean;
  cause: unknown;
  children?: ReactNode;
  onSubmit: (given: Named) => void;
  onClose: () => void;
}) {
  const { t } = useI18n();
  const ids = { name: useId(), description: useId() };
  return (
    <form
      className={form.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (given) onSubmit(given);
      }}
    >
      <div className={form.field}>
        <label htmlFor={ids.name}>{t("documents.new.name")}</label>
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
        <label htmlFor={ids.description}>{t("documents.new.description")}</label>
        <textarea
          id={ids.description}
          rows={2}
          maxLength={2000}
          value={description}
          onChange={(event) => setDescription(event.target.value)}
        />
      </div>
      {children}
      {cause != null && <ProblemView cause={cause} />}
      <div className={dialogActions}>
        <Button onPress={onClose}>{t("app.cancel")}</Button>
        <Button emphasis="primary" type="submit" isDisabled={busy || !given}>
          {submit}
        </Button>
      </div>
    </form>
  );
}
