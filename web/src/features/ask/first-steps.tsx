import { Link } from "@tanstack/react-router";
import { useI18n } from "../../lib/i18n/index.ts";
import { Banner } from "../../ui/banner.tsx";
import { buttonClass } from "../../ui/button.tsx";
import { Icon } from "../../ui/icons.tsx";
import css from "./first-steps.module.css";

/** What to do when there is nothing to ask about yet. */
export function FirstSteps() {
  const { t } = useI18n();
  return (
    <section className={css.card} aria-labelledby="first-steps">
      <div className={css.words}>
        <h2 id="first-steps">{t("ask.empty.title")}</h2>
        <p>{t("ask.empty.body")}</p>
      </div>
      <Link to="/documents" className={buttonClass("primary")}>
        <Icon name="upload" /> {t("ask.empty.action")}
      </Link>
    </section>
  );
}

/** Says that documents are still on their way. */
export function Reading({ count }: { count: number }) {
  const { t } = useI18n();
  return (
    <Banner>
      <strong>{t("ask.reading.title")}.</strong> {t("ask.reading.body", { n: count })}
    </Banner>
  );
}
