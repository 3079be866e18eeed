import { useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import { Mark } from "../../ui/mark.tsx";
import { Page } from "../../ui/page.tsx";
import css from "./sign-in-page.module.css";

/** Says where the one-time link comes from. The page notices by itself when it has been opened. */
export function SignInPage({ onCheck }: { onCheck: () => void }) {
  const { t } = useI18n();
  return (
    <Page eyebrow={<Mark size={56} />} title={t("session.title")} lead={t("session.body")} narrow>
      <ol className={css.steps}>
        <li>
          <Command text={t("session.step.serve")} command="astrolabe serve" />
        </li>
        <li>
          <Command text={t("session.step.link")} command="astrolabe login-link" />
        </li>
      </ol>
      <div className={css.foot}>
        <Button emphasis="primary" onPress={onCheck}>
          {t("session.check")}
        </Button>
        <p className={css.waiting}>{t("session.waiting")}</p>
      </div>
    </Page>
  );
}

function Command({ text, command }: { text: string; command: string }) {
  const [before, after] = text.split("{command}");
  return (
    <p>
      {before}
      <code className={css.command}>{command}</code>
      {after}
    </p>
  );
}
