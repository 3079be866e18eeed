import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useId, useState } from "react";
import { createSource, refreshSources } from "../../api/sources.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button, type Emphasis } from "../../ui/button.tsx";
import { Dialog, dialogActions } from "../../ui/dialog.tsx";
import { Icon } from "../../ui/icons.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import css from "./new-source.module.css";

/** The button and dialog that create a source and lead into it. */
export function NewSource({ emphasis }: { emphasis: Emphasis }) {
  const { t } = useI18n();
  return (
    <Dialog
      title={t("documents.new")}
      trigger={
        <Button emphasis={emphasis}>
          <Icon name="plus" /> {t("documents.new")}
        </Button>
      }
    >
      {(close) => <NewSourceForm onClose={close} />}
    </Dialog>
  );
}

function NewSourceForm({ onClose }: { onClose: () => void }) {
  const { t } = useI18n();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const ids = { name: useId(), description: useId() };
  const create = useMutation({
    mutationFn: createSource,
    onSuccess: async (source) => {
      onClose();
      await refreshSources(client);
      await navigate({ to: "/sources/$sourceId", params: { sourceId: source.id } });
    },
  });
  return (
    <form
      className={css.form}
      onSubmit={(event) => {
        event.preventDefault();
        const given = { name: name.trim(), description: description.trim() };
        if (given.name !== "") create.mutate(given.description === "" ? { name: given.name } : given);
      }}
    >
      <div className={css.field}>
        <label htmlFor={ids.name}>{t("documents.new.name")}</label>
        <input
          id={ids.name}
          // biome-ignore lint/a11y/noAutofocus: an opened dialog takes the focus into its first field
          autoFocus
          required
          maxLength={120}
          value={name}
          onChange={(e) => setName(e.target.value)}
        />
      </div>
      <div className={css.field}>
        <label htmlFor={ids.description}>{t("documents.new.description")}</label>
        <textarea
          id={ids.description}
          rows={2}
          maxLength={1000}
          value={description}
          onChange={(e) => setDescription(e.target.value)}
        />
      </div>
      {create.isError && <ProblemView cause={create.error} />}
      <div className={dialogActions}>
        <Button onPress={onClose}>{t("app.cancel")}</Button>
        <Button emphasis="primary" type="submit" isDisabled={create.isPending || name.trim() === ""}>
          {t("documents.new.create")}
        </Button>
      </div>
    </form>
  );
}
