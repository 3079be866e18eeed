import { Link } from "@tanstack/react-router";
import { useI18n } from "../lib/i18n/index.ts";
import { buttonClass } from "../ui/button.tsx";
import { Page } from "../ui/page.tsx";

/** An address that leads nowhere. */
export function NotFoundPage() {
  const { t } = useI18n();
  return (
    <Page title={t("notFound.title")} eyebrow="404" lead={t("notFound.body")} narrow>
      <p>
        <Link to="/" className={buttonClass("primary")}>
          {t("notFound.home")}
        </Link>
      </p>
    </Page>
  );
}
