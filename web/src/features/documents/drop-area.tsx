import { useRef } from "react";
import { DropZone } from "react-aria-components/DropZone";
import type { NamedFile } from "../../api/documents.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import { Icon } from "../../ui/icons.tsx";
import css from "./drop-area.module.css";
import { filesOfDrop, filesOfList } from "./file-names.ts";

/** Where files come in: by dropping, by pasting, or with the button. */
export function DropArea({
  title,
  hint,
  label,
  large = false,
  onFiles,
}: {
  title: string;
  hint: string;
  label: string;
  large?: boolean;
  onFiles: (files: NamedFile[]) => void;
}) {
  const { t } = useI18n();
  const input = useRef<HTMLInputElement>(null);
  const give = (files: NamedFile[]) => {
    if (files.length > 0) onFiles(files);
  };
  return (
    <DropZone
      className={large ? `${css.zone} ${css.large}` : (css.zone ?? "")}
      aria-label={label}
      getDropOperation={() => "copy"}
      onDrop={(event) => void filesOfDrop(event.items).then(give)}
    >
      <span className={css.icon}>
        <Icon name="upload" size={large ? 30 : 24} />
      </span>
      <div className={css.words}>
        <p className={css.title}>{title}</p>
        <p className={css.hint}>{hint}</p>
      </div>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        data-testid="file-input"
        onChange={(event) => {
          give(filesOfList(event.target.files));
          // The same file may be chosen again after it was corrected.
          event.target.value = "";
        }}
      />
      <Button
        emphasis={large ? "primary" : "secondary"}
        onPress={() => input.current?.click()}
        aria-label={`${t("source.drop.button")}: ${label}`}
      >
        {t("source.drop.button")}
      </Button>
    </DropZone>
  );
}
