import { type KeyboardEvent, useId, useRef, useState } from "react";
import { Checkbox } from "react-aria-components/Checkbox";
import { CheckboxGroup } from "react-aria-components/CheckboxGroup";
import { Label } from "react-aria-components/Label";
import type { Source } from "../../api/types.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import { Icon } from "../../ui/icons.tsx";
import css from "./composer.module.css";

/** How many sources are offered before the rest folds away. */
const SHOWN_SOURCES = 8;

/** The question box with the choice of sources. Enter asks, Shift + Enter breaks the line. */
export function Composer({
  draft,
  onDraft,
  compact,
  quiet,
  busy,
  sources,
  chosen,
  onChoose,
  onAsk,
  onStop,
}: {
  draft: string;
  onDraft: (draft: string) => void;
  compact: boolean;
  /** True when there is nothing to search yet: adding documents is then the first thing to do. */
  quiet: boolean;
  busy: boolean;
  sources: readonly Source[];
  chosen: readonly string[];
  onChoose: (ids: string[]) => void;
  onAsk: (question: string) => void;
  onStop: () => void;
}) {
  const { t } = useI18n();
  const box = useRef<HTMLTextAreaElement>(null);
  const hint = useId();
  const label = useId();
  const ready = draft.trim() !== "";

  const ask = () => {
    if (ready && !busy) onAsk(draft.trim());
    else box.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // While an input method composes a character, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    ask();
  };

  return (
    <form
      className={compact ? `${css.composer} ${css.compact}` : css.composer}
      onSubmit={(event) => {
        event.preventDefault();
        ask();
      }}
    >
      <div className={css.box}>
        <label className="visually-hidden" htmlFor={label}>
          {t("ask.label")}
        </label>
        <textarea
          id={label}
          ref={box}
          className={css.input}
          rows={compact ? 1 : 2}
          maxLength={2000}
          value={draft}
          placeholder={t("ask.placeholder")}
          aria-describedby={hint}
          onChange={(event) => onDraft(event.target.value)}
          onKeyDown={onKeyDown}
        />
        <div className={css.row}>
          <span id={hint} className={css.hint}>
            {t("ask.hint")}
          </span>
          {busy ? (
            <Button emphasis="secondary" onPress={onStop}>
              <Icon name="stop" /> {t("ask.stop")}
            </Button>
          ) : (
            <Button emphasis={quiet ? "secondary" : "primary"} type="submit">
              {t("ask.submit")} <Icon name="arrow" />
            </Button>
          )}
        </div>
      </div>
      {sources.length > 1 && <SourcePicker sources={sources} chosen={chosen} onChoose={onChoose} />}
    </form>
  );
}

function SourcePicker({
  sources,
  chosen,
  onChoose,
}: {
  sources: readonly Source[];
  chosen: readonly string[];
  onChoose: (ids: string[]) => void;
}) {
  const { t, language } = useI18n();
  const [open, setOpen] = useState(false);
  const folded = !open && sources.length > SHOWN_SOURCES + 1;
  const shown = folded
    ? sources.filter((source, index) => index < SHOWN_SOURCES || chosen.includes(source.id))
    : sources;
  const all = chosen.length === 0;
  return (
    <CheckboxGroup
      className={css.sources ?? ""}
      value={all ? ["*"] : [...chosen]}
      onChange={(values) => onChoose(values.at(-1) === "*" ? [] : values.filter((value) => value !== "*"))}
    >
      <Label className={css.sourcesLabel}>{t("ask.sources")}</Label>
      <Checkbox className={css.chip ?? ""} value="*">
        {t("ask.sources.all")}
      </Checkbox>
      {shown.map((source) => (
        <Checkbox key={source.id} className={css.chip ?? ""} value={source.id}>
          <span className={css.chipName}>{source.name}</span>
          <span className={css.chipCount} title={t("documents.count", { n: source.document_count })}>
            {new Intl.NumberFormat(language).format(source.document_count)}
          </span>
        </Checkbox>
      ))}
      {folded && (
        <Button emphasis="quiet" small onPress={() => setOpen(true)}>
          {t("app.more")}
        </Button>
      )}
    </CheckboxGroup>
  );
}
