import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useId, useState } from "react";
import {
  blame,
  createQuestionSet,
  questionFromFeedback,
  questionSets,
  refreshQuestionSets,
} from "../../api/quality.ts";
import { sourcesQuery } from "../../api/sources.ts";
import type { Feedback, QuestionSet } from "../../api/types.ts";
import { formatTime, formatWhen } from "../../lib/format.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import cards from "../../ui/cards.module.css";
import { Dialog, dialogActions } from "../../ui/dialog.tsx";
import form from "../../ui/form.module.css";
import { Icon } from "../../ui/icons.tsx";
import { Loading, Page } from "../../ui/page.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import css from "./quality.module.css";

/** The question sets, and the complaints that can become questions. */
export function QualityPage() {
  const { t } = useI18n();
  const sets = useQuery(questionSets());
  const items = sets.data?.items;
  return (
    <Page title={t("quality.title")} lead={t("quality.lead")} actions={<NewSet />}>
      {sets.isError ? (
        <ProblemView cause={sets.error} onRetry={() => void sets.refetch()} />
      ) : items === undefined ? (
        <Loading label={t("app.loading")} />
      ) : items.length === 0 ? (
        <p className={css.none}>{t("quality.none")}</p>
      ) : (
        <ul className={cards.grid}>
          {items.map((set) => (
            <SetCard key={set.id} set={set} now={sets.dataUpdatedAt} />
          ))}
        </ul>
      )}
      <Blame sets={items ?? []} />
    </Page>
  );
}

function SetCard({ set, now }: { set: QuestionSet; now: number }) {
  const { t, language } = useI18n();
  const total = set.last_run?.figures?.total;
  return (
    <li className={cards.card}>
      <h2 className={cards.name}>
        <Link to="/quality/$setId" params={{ setId: set.id }}>
          {set.name}
        </Link>
      </h2>
      {set.description && <p className={cards.description}>{set.description}</p>}
      <p className={css.score}>
        {set.last_run && total
          ? t("quality.last", {
              right: total.right,
              of: total.of,
              when: formatWhen(set.last_run.created_at, now, language),
            })
          : t("quality.never")}
      </p>
      <p className={cards.facts}>{t("quality.count", { n: set.question_count })}</p>
    </li>
  );
}

function NewSet() {
  const { t } = useI18n();
  return (
    <Dialog
      title={t("quality.new")}
      trigger={
        <Button emphasis="primary">
          <Icon name="plus" /> {t("quality.new")}
        </Button>
      }
    >
      {(close) => <NewSetForm onClose={close} />}
    </Dialog>
  );
}

function NewSetForm({ onClose }: { onClose: () => void }) {
  const { t } = useI18n();
  const client = useQueryClient();
  const navigate = useNavigate();
  const sources = useQuery(sourcesQuery());
  const [name, setName] = useState("");
  const [source, setSource] = useState("");
  const ids = { name: useId(), source: useId() };
  const create = useMutation({
    mutationFn: createQuestionSet,
    onSuccess: async (set) => {
      onClose();
      await refreshQuestionSets(client);
      await navigate({ to: "/quality/$setId", params: { setId: set.id } });
    },
  });
  return (
    <form
      className={form.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim() !== "") create.mutate({ name: name.trim(), sources: source === "" ? [] : [source] });
      }}
    >
      <div className={form.field}>
        <label htmlFor={ids.name}>{t("quality.new.name")}</label>
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
        <label htmlFor={ids.source}>{t("quality.new.sources")}</label>
        <select id={ids.source} value={source} onChange={(event) => setSource(event.target.value)}>
          <option value="">{t("quality.new.sources.all")}</option>
          {sources.data?.items.map((each) => (
            <option key={each.id} value={each.id}>
              {each.name}
            </option>
          ))}
        </select>
      </div>
      {create.isError && <ProblemView cause={create.error} />}
      <div className={dialogActions}>
        <Button onPress={onClose}>{t("app.cancel")}</Button>
        <Button emphasis="primary" type="submit" isDisabled={create.isPending || name.trim() === ""}>
          {t("quality.new.create")}
        </Button>
      </div>
    </form>
  );
}

/** What people were not content with. */
function Blame({ sets }: { sets: readonly QuestionSet[] }) {
  const { t } = useI18n();
  const list = useInfiniteQuery(blame());
  const items = list.data?.pages.flatMap((page) => page.items);
  return (
    <section className={css.section} aria-labelledby="blame">
      <h2 id="blame" className={css.title}>
        {t("quality.blame")}
      </h2>
      {list.isError ? (
        <ProblemView cause={list.error} onRetry={() => void list.refetch()} />
      ) : items === undefined ? (
        <Loading label={t("app.loading")} />
      ) : items.length === 0 ? (
        <p className={css.none}>{t("quality.blame.none")}</p>
      ) : (
        <ul className={css.list}>
          {items.map((feedback) => (
            <Complaint key={feedback.id} feedback={feedback} sets={sets} />
          ))}
        </ul>
      )}
      {list.hasNextPage && (
        <Button small isDisabled={list.isFetchingNextPage} onPress={() => void list.fetchNextPage()}>
          {t("app.more")}
        </Button>
      )}
    </section>
  );
}

function Complaint({ feedback, sets }: { feedback: Feedback; sets: readonly QuestionSet[] }) {
  const { t, language } = useI18n();
  return (
    <li className={css.complaint}>
      <div className={css.words}>
        <p className={css.question}>{feedback.question}</p>
        <p className={css.soft}>{feedback.answer}</p>
        <p className={css.facts}>
          <span className={css.bad}>{t(`feedback.reason.${feedback.reason ?? "other"}`)}</span>
          {feedback.comment && <span>“{feedback.comment}”</span>}
          <time dateTime={feedback.updated_at}>{formatTime(feedback.updated_at, language)}</time>
        </p>
      </div>
      {feedback.question_set_id ? (
        <Link to="/quality/$setId" params={{ setId: feedback.question_set_id }} className={css.made}>
          <Icon name="check" size={16} /> {t("quality.blame.made")}
        </Link>
      ) : (
        <Dialog
          title={t("quality.blame.make")}
          trigger={
            <Button small aria-label={`${t("quality.blame.make")}: ${feedback.question}`}>
              {t("quality.blame.make")}
            </Button>
          }
        >
          {(close) => <ChooseSet feedback={feedback} sets={sets} onClose={close} />}
        </Dialog>
      )}
    </li>
  );
}

function ChooseSet({
  feedback,
  sets,
  onClose,
}: {
  feedback: Feedback;
  sets: readonly QuestionSet[];
  onClose: () => void;
}) {
  const { t } = useI18n();
  const client = useQueryClient();
  const [set, setSet] = useState(sets[0]?.id ?? "");
  const id = useId();
  const make = useMutation({
    mutationFn: () => questionFromFeedback(feedback.id, set),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["feedback"] });
      await refreshQuestionSets(client);
      onClose();
    },
  });
  return (
    <form
      className={form.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (set !== "") make.mutate();
      }}
    >
      <p className={css.question}>{feedback.question}</p>
      {sets.length === 0 ? (
        <p>{t("quality.blame.needSet")}</p>
      ) : (
        <div className={form.field}>
          <label htmlFor={id}>{t("quality.blame.set")}</label>
          <select id={id} value={set} onChange={(event) => setSet(event.target.value)}>
            {sets.map((each) => (
              <option key={each.id} value={each.id}>
                {each.name}
              </option>
            ))}
          </select>
        </div>
      )}
      {make.isError && <ProblemView cause={make.error} />}
      <div className={dialogActions}>
        <Button onPress={onClose}>{t("app.cancel")}</Button>
        <Button emphasis="primary" type="submit" isDisabled={make.isPending || set === ""}>
          {t("quality.blame.add")}
        </Button>
      </div>
    </form>
  );
}
