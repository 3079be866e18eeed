import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import { giveFeedback, ownFeedback, withdrawFeedback } from "../../api/quality.ts";
import { type Feedback, type NewFeedback, REASONS, type Reason } from "../../api/types.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import form from "../../ui/form.module.css";
import { Icon } from "../../ui/icons.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import css from "./give-feedback.module.css";

/** Thumbs under an answer. A thumb counts at once and can be taken back; a downward one may give its reason. */
export function GiveFeedback({ askId }: { askId: string }) {
  const { t } = useI18n();
  const client = useQueryClient();
  const own = useQuery({ ...ownFeedback(askId), retry: false });
  const [detailed, setDetailed] = useState(false);
  const keep = (feedback: Feedback | null) => {
    client.setQueryData(ownFeedback(askId).queryKey, feedback);
    void client.invalidateQueries({ queryKey: ["feedback", "down"] });
  };
  const give = useMutation({ mutationFn: (given: NewFeedback) => giveFeedback(askId, given), onSuccess: keep });
  const withdraw = useMutation({ mutationFn: () => withdrawFeedback(askId), onSuccess: () => keep(null) });
  const rating = own.data?.rating;
  const press = (wanted: "up" | "down") => {
    setDetailed(false);
    if (rating === wanted) withdraw.mutate();
    else give.mutate({ rating: wanted });
  };
  const failed = give.error ?? withdraw.error;
  return (
    <section className={css.feedback} aria-label={t("feedback.title")}>
      <div className={css.row}>
        <span className={css.ask} aria-hidden="true">
          {t("feedback.title")}
        </span>
        {(["up", "down"] as const).map((each) => (
          <Button
            key={each}
            small
            emphasis={rating === each ? "secondary" : "quiet"}
            aria-pressed={rating === each}
            aria-label={t(`feedback.${each}`)}
            onPress={() => press(each)}
          >
            <Icon name={each} />
          </Button>
        ))}
        <span role="status" className={css.said}>
          {rating === undefined ? "" : detailed ? t("feedback.sent") : t("feedback.thanks")}
        </span>
      </div>
      {rating === "down" && !detailed && (
        <Details
          before={own.data ?? undefined}
          busy={give.isPending}
          onSend={(reason, comment) =>
            give.mutate({ rating: "down", reason, comment }, { onSuccess: () => setDetailed(true) })
          }
        />
      )}
      {failed && <ProblemView cause={failed} />}
    </section>
  );
}

function Details({
  before,
  busy,
  onSend,
}: {
  before: Feedback | undefined;
  busy: boolean;
  onSend: (reason: Reason | null, comment: string) => void;
}) {
  const { t } = useI18n();
  const [reason, setReason] = useState<Reason | null>(before?.reason ?? null);
  const [comment, setComment] = useState(before?.comment ?? "");
  const ids = { group: useId(), comment: useId() };
  return (
    <form
      className={css.details}
      onSubmit={(event) => {
        event.preventDefault();
        onSend(reason, comment.trim());
      }}
    >
      <fieldset className={form.group}>
        <legend>{t("feedback.reason")}</legend>
        {REASONS.map((each) => (
          <label key={each} className={form.check}>
            <input type="radio" name={ids.group} checked={reason === each} onChange={() => setReason(each)} />
            {t(`feedback.reason.${each}`)}
          </label>
        ))}
      </fieldset>
      <div className={form.field}>
        <label htmlFor={ids.comment}>{t("feedback.comment")}</label>
        <textarea
          id={ids.comment}
          rows={2}
          maxLength={2000}
          value={comment}
          onChange={(event) => setComment(event.target.value)}
        />
      </div>
      <div>
        <Button type="submit" small isDisabled={busy || (reason === null && comment.trim() === "")}>
          {t("feedback.send")}
        </Button>
      </div>
    </form>
  );
}
