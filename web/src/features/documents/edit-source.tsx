import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import { changeSource, refreshSources } from "../../api/sources.ts";
import type { Source, SourceChange } from "../../api/types.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import form from "../../ui/form.module.css";
import { Icon } from "../../ui/icons.tsx";
import { SourceForm, useNamed } from "./source-form.tsx";

/** A tag and what the score of a document with it is multiplied by, as they are typed. */
interface TagFactor {
  readonly key: number;
  readonly tag: string;
  readonly factor: string;
}

/** The button and dialog that change the settings of a source. */
export function EditSource({ source }: { source: Source }) {
  const { t } = useI18n();
  return (
    <Dialog
      title={t("source.edit.title", { name: source.name })}
      trigger={
        <Button emphasis="quiet">
          <Icon name="edit" /> {t("source.edit")}
        </Button>
      }
    >
      {(close) => <EditSourceForm source={source} onClose={close} />}
    </Dialog>
  );
}

function EditSourceForm({ source, onClose }: { source: Source; onClose: () => void }) {
  const { t } = useI18n();
  const client = useQueryClient();
  const named = useNamed(source);
  const [tags, setTags] = useState(source.tags.join(", "));
  const [closed, setClosed] = useState(source.readers != null);
  const [readers, setReaders] = useState((source.readers ?? []).join("\n"));
  const [freshness, setFreshness] = useState(String(Number((source.ranking.freshness * 100).toFixed(4))));
  const [halfLife, setHalfLife] = useState(String(source.ranking.half_life_days));
  const [factors, setFactors] = useState<readonly TagFactor[]>(() =>
    Object.entries(source.ranking.tags).map(([tag, factor], key) => ({ key, tag, factor: String(factor) })),
  );
  const ids = { tags: useId(), who: useId(), readers: useId(), freshness: useId(), halfLife: useId(), hint: useId() };
  const save = useMutation({
    mutationFn: (change: SourceChange) => changeSource(source.id, change),
    onSuccess: async () => {
      await refreshSources(client);
      onClose();
    },
  });
  const wanted = {
    tags: pieces(tags, ","),
    readers: closed ? pieces(readers, "\n") : null,
    ranking: {
      freshness: Number(freshness) / 100,
      half_life_days: Number(halfLife),
      tags: Object.fromEntries(
        factors.filter(({ tag }) => tag.trim() !== "").map(({ tag, factor }) => [tag.trim(), Number(factor)]),
      ),
    },
  };
  const setFactor = (key: number, parts: Partial<TagFactor>) =>
    setFactors(factors.map((each) => (each.key === key ? { ...each, ...parts } : each)));
  return (
    <SourceForm
      named={named}
      submit={t("source.edit.save")}
      busy={save.isPending}
      cause={save.error}
      onSubmit={(given) => {
        const change = changeOf(source, { ...given, ...wanted });
        if (Object.keys(change).length === 0) onClose();
        else save.mutate(change);
      }}
      onClose={onClose}
    >
      <div className={form.field}>
        <label htmlFor={ids.tags}>{t("source.edit.tags")}</label>
        <input id={ids.tags} value={tags} onChange={(event) => setTags(event.target.value)} />
      </div>
      <fieldset className={form.group}>
        <legend>{t("source.edit.readers")}</legend>
        {([false, true] as const).map((each) => (
          <label key={String(each)} className={form.check}>
            <input type="radio" name={ids.who} checked={closed === each} onChange={() => setClosed(each)} />
            {t(each ? "source.edit.readers.some" : "source.edit.readers.all")}
          </label>
        ))}
        {closed && (
          <div className={form.field}>
            <label htmlFor={ids.readers} className="visually-hidden">
              {t("source.edit.readers.ids")}
            </label>
            <textarea
              id={ids.readers}
              rows={3}
              spellCheck={false}
              placeholder="user:ann"
              aria-describedby={ids.hint}
              value={readers}
              onChange={(event) => setReaders(event.target.value)}
            />
            <p id={ids.hint} className={form.hint}>
              {t("source.edit.readers.hint")}
            </p>
          </div>
        )}
      </fieldset>
      <fieldset className={form.group}>
        <legend>{t("source.edit.ranking")}</legend>
        <p className={form.hint}>{t("source.edit.ranking.hint")}</p>
        <div className={form.pair}>
          <div className={form.field}>
            <label htmlFor={ids.freshness}>{t("source.edit.freshness")}</label>
            <input
              id={ids.freshness}
              type="number"
              required
              min={0}
              max={100}
              step="any"
              value={freshness}
              onChange={(event) => setFreshness(event.target.value)}
            />
          </div>
          <div className={form.field}>
            <label htmlFor={ids.halfLife}>{t("source.edit.halfLife")}</label>
            <input
              id={ids.halfLife}
              type="number"
              required
              min={1}
              max={36_500}
              value={halfLife}
              onChange={(event) => setHalfLife(event.target.value)}
            />
          </div>
        </div>
        {factors.map(({ key, tag, factor }) => (
          <div key={key} className={form.with}>
            <div className={form.field}>
              <label htmlFor={`${ids.who}-tag-${key}`}>{t("source.edit.tag")}</label>
              <input
                id={`${ids.who}-tag-${key}`}
                // biome-ignore lint/a11y/noAutofocus: a row that was just added is what the person types into next
                autoFocus={tag === ""}
                required
                maxLength={64}
                value={tag}
                onChange={(event) => setFactor(key, { tag: event.target.value })}
              />
            </div>
            <div className={`${form.field} ${form.short}`}>
              <label htmlFor={`${ids.who}-factor-${key}`}>{t("source.edit.factor")}</label>
              <input
                id={`${ids.who}-factor-${key}`}
                type="number"
                required
                min={0.1}
                max={10}
                step="any"
                value={factor}
                onChange={(event) => setFactor(key, { factor: event.target.value })}
              />
            </div>
            <Button
              emphasis="quiet"
              aria-label={t("source.edit.tag.remove", { tag })}
              onPress={() => setFactors(factors.filter((each) => each.key !== key))}
            >
              <Icon name="trash" size={16} />
            </Button>
          </div>
        ))}
        {factors.length < 32 && (
          <div>
            <Button
              small
              onPress={() => setFactors([...factors, { key: (factors.at(-1)?.key ?? -1) + 1, tag: "", factor: "1.5" }])}
            >
              <Icon name="plus" size={16} /> {t("source.edit.tag.add")}
            </Button>
          </div>
        )}
      </fieldset>
    </SourceForm>
  );
}

/** The parts of a typed list, trimmed, without empty ones. */
function pieces(text: string, separator: string): string[] {
  return text
    .split(separator)
    .map((piece) => piece.trim())
    .filter(Boolean);
}

/** What is other than before. The rest is left out, so that it cannot undo what somebody else changes meanwhile. */
function changeOf(
  source: Source,
  wanted: Required<Pick<Source, "name" | "description" | "tags" | "readers" | "ranking">>,
): SourceChange {
  const same = (key: keyof typeof wanted) => JSON.stringify(wanted[key]) === JSON.stringify(source[key] ?? null);
  const keys = (Object.keys(wanted) as (keyof typeof wanted)[]).filter((key) => !same(key));
  return Object.fromEntries(keys.map((key) => [key, wanted[key]]));
}
