import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useId, useRef, useState } from "react";
import { addQuestion, exportAddress, importQuestions, refreshQuestionSets } from "../../api/quality.ts";
import type { Question, QuestionSetContent } from "../../api/types.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button, buttonClass } from "../../ui/button.tsx";
import { Dialog, dialogActions } from "../../ui/dialog.tsx";
import form from "../../ui/form.module.css";
import { Icon } from "../../ui/icons.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import css from "./quality.module.css";

/** The questions of a set: read, add, import, export. */
export function Questions({ set }: { set: QuestionSetContent }) {
  const { t } = useI18n();
  const client = useQueryClient();
  const file = useRef<HTMLInputElement>(null);
  const load = useMutation({
    mutationFn: async (chosen: File) => importQuestions(set.id, set.version, await chosen.text()),
    onSettled: () => refreshQuestionSets(client),
  });
  return (
    <section className={css.section} aria-labelledby="questions">
      <div className={css.bar}>
        <h2 id="questions" className={css.title}>
          {t("quality.questions")} <span className={css.counted}>{set.questions.length}</span>
        </h2>
        <div className={css.tools}>
          <Dialog
            title={t("quality.questions.add")}
            trigger={
              <Button small>
                <Icon name="plus" size={16} /> {t("quality.questions.add")}
              </Button>
            }
          >
            {(close) => <AddQuestion set={set} onClose={close} />}
          </Dialog>
          <Button small onPress={() => file.current?.click()}>
            <Icon name="upload" size={16} /> {t("quality.questions.import")}
          </Button>
          <input
            ref={file}
            type="file"
            className="visually-hidden"
            tabIndex={-1}
            accept=".jsonl,.ndjson,.json,application/x-ndjson"
            aria-label={t("quality.questions.import.label")}
            onChange={(event) => {
              const [chosen] = event.target.files ?? [];
              event.target.value = "";
              if (chosen) load.mutate(chosen);
            }}
          />
          {set.questions.length > 0 && (
            <a className={buttonClass("quiet", true)} href={exportAddress(set.id)} download="questions.jsonl">
              <Icon name="file" size={16} /> {t("quality.questions.export")}
            </a>
          )}
        </div>
      </div>
      {load.isError && <ProblemView cause={load.error} />}
      {set.questions.length === 0 ? (
        <p className={css.none}>{t("quality.questions.none")}</p>
      ) : (
        <ol className={css.list}>
          {set.questions.map((question) => (
            <li key={question.id} className={css.complaint}>
              <div className={css.words}>
                <p>{question.question}</p>
                <p className={css.facts}>
                  <code>{question.id}</code>
                  {question.answerable === false ? (
                    <span>{t("quality.questions.unanswerable")}</span>
                  ) : (
                    [...(question.answer_any ?? []), ...(question.answer_patterns ?? [])].map((text) => (
                      <span key={text}>“{text}”</span>
                    ))
                  )}
                  {question.document && <span>{question.document}</span>}
                </p>
              </div>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

function AddQuestion({ set, onClose }: { set: QuestionSetContent; onClose: () => void }) {
  const { t } = useI18n();
  const client = useQueryClient();
  const [text, setText] = useState("");
  const [answerable, setAnswerable] = useState(true);
  const [document, setDocument] = useState("");
  const [expected, setExpected] = useState("");
  const ids = { text: useId(), document: useId(), expected: useId() };
  const add = useMutation({
    mutationFn: (question: Question) => addQuestion(set.id, question),
    onSuccess: async () => {
      await refreshQuestionSets(client);
      onClose();
    },
  });
  return (
    <form
      className={form.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() === "") return;
        const question: Question = { id: crypto.randomUUID(), question: text.trim(), answerable };
        if (answerable && document.trim() !== "") question.document = document.trim();
        if (answerable && expected.trim() !== "") question.answer_any = [expected.trim()];
        add.mutate(question);
      }}
    >
      <div className={form.field}>
        <label htmlFor={ids.text}>{t("quality.results.question")}</label>
        <textarea
          id={ids.text}
          // biome-ignore lint/a11y/noAutofocus: an opened dialog takes the focus into its first field
          autoFocus
          rows={2}
          required
          maxLength={2000}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
      </div>
      <label className={form.check}>
        <input type="checkbox" checked={answerable} onChange={(event) => setAnswerable(event.target.checked)} />
        {t("quality.questions.answerable")}
      </label>
      {answerable && (
        <>
          <div className={form.field}>
            <label htmlFor={ids.expected}>{t("quality.questions.expected")}</label>
            <input
              id={ids.expected}
              maxLength={500}
              value={expected}
              onChange={(event) => setExpected(event.target.value)}
            />
          </div>
          <div className={form.field}>
            <label htmlFor={ids.document}>{t("quality.questions.document")}</label>
            <input
              id={ids.document}
              maxLength={500}
              value={document}
              onChange={(event) => setDocument(event.target.value)}
            />
          </div>
        </>
      )}
      {add.isError && <ProblemView cause={add.error} />}
      <div className={dialogActions}>
        <Button onPress={onClose}>{t("app.cancel")}</Button>
        <Button emphasis="primary" type="submit" isDisabled={add.isPending || text.trim() === ""}>
          {t("quality.blame.add")}
        </Button>
      </div>
    </form>
  );
}
