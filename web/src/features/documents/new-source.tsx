import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { createSource, refreshSources } from "../../api/sources.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button, type Emphasis } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Icon } from "../../ui/icons.tsx";
import { SourceForm, useNamed } from "./source-form.tsx";

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
  const named = useNamed({ name: "", description: "" });
  const create = useMutation({
    mutationFn: createSource,
    onSuccess: async (source) => {
      onClose();
      await refreshSources(client);
      await navigate({ to: "/sources/$sourceId", params: { sourceId: source.id } });
    },
  });
  return (
    <SourceForm
      named={named}
      submit={t("documents.new.create")}
      busy={create.isPending}
      cause={create.error}
      onSubmit={(given) => create.mutate(given)}
      onClose={onClose}
    />
  );
}
