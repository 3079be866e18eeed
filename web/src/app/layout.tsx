import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { signOut } from "../api/session.ts";
import { meQuery } from "../api/system.ts";
import { SignInPage } from "../features/session/sign-in-page.tsx";
import { StatusBanner } from "../features/status/status-banner.tsx";
import { StatusStrip } from "../features/status/status-strip.tsx";
import { LANGUAGE_NAMES, LANGUAGES, type Language, useI18n } from "../lib/i18n/index.ts";
import { setTheme, type Theme, useTheme } from "../lib/theme.ts";
import { Button } from "../ui/button.tsx";
import { Icon, type IconName } from "../ui/icons.tsx";
import { Mark } from "../ui/mark.tsx";
import { Loading, Page } from "../ui/page.tsx";
import { ProblemView } from "../ui/problem.tsx";
import css from "./layout.module.css";

/** Moves focus to the heading of a new view, so that a screen reader starts there. Not on the first one. */
function useFocusOnNavigation(): void {
  const pathname = useRouterState({ select: (state) => state.resolvedLocation?.pathname });
  const shown = useRef<string>(undefined);
  useEffect(() => {
    if (pathname === undefined) return;
    const first = shown.current === undefined;
    if (!first && shown.current !== pathname && !document.querySelector("[data-claims-focus]")) {
      document.querySelector<HTMLElement>("[data-page-heading]")?.focus({ preventScroll: true });
    }
    shown.current = pathname;
  }, [pathname]);
}

/** The frame around every view: header, news about the server, the view, status. */
export function Layout() {
  const { t } = useI18n();
  const me = useQuery(meQuery());
  useFocusOnNavigation();
  return (
    <div className={css.frame}>
      <a className={css.skip} href="#content">
        {t("app.skip")}
      </a>
      <Header
        signedIn={me.data != null}
        manages={me.data?.principal.rights.includes("manage_users") ?? false}
        counts={me.data?.principal.rights.includes("read_usage") ?? false}
      />
      <StatusBanner />
      <main id="content" tabIndex={-1} className={css.main}>
        {me.data ? (
          <Outlet />
        ) : me.data === null ? (
          <SignInPage onCheck={() => void me.refetch()} />
        ) : me.isError ? (
          <Page title={t("error.title")} narrow>
            <ProblemView cause={me.error} onRetry={() => void me.refetch()} />
          </Page>
        ) : (
          <Page title="Astrolabe" narrow>
            <Loading label={t("app.loading")} />
          </Page>
        )}
      </main>
      <StatusStrip />
    </div>
  );
}

const NEXT_THEME: Readonly<Record<Theme, Theme>> = { auto: "light", light: "dark", dark: "auto" };
const THEME_ICON: Readonly<Record<Theme, IconName>> = { auto: "auto", light: "sun", dark: "moon" };

function Header({ signedIn, manages, counts }: { signedIn: boolean; manages: boolean; counts: boolean }) {
  const { t, language, setLanguage } = useI18n();
  const theme = useTheme();
  const client = useQueryClient();
  return (
    <header className={css.header}>
      <Link to="/" className={css.brand}>
        <Mark />
        <span>Astrolabe</span>
      </Link>
      {signedIn && (
        <nav aria-label={t("app.nav")} className={css.nav}>
          <Link to="/" activeOptions={{ exact: true, includeSearch: false }}>
            {t("nav.ask")}
          </Link>
          <Link to="/documents">{t("nav.documents")}</Link>
          <Link to="/quality">{t("nav.quality")}</Link>
          <Link to="/activity">{t("nav.activity")}</Link>
          {counts && <Link to="/usage">{t("nav.usage")}</Link>}
          {manages && <Link to="/people">{t("nav.people")}</Link>}
        </nav>
      )}
      <section className={css.preferences} aria-label={t("app.preferences")}>
        <select
          className={css.language}
          aria-label={t("app.language")}
          value={language}
          onChange={(event) => setLanguage(event.target.value as Language)}
        >
          {LANGUAGES.map((each) => (
            <option key={each} value={each} lang={each}>
              {LANGUAGE_NAMES[each]}
            </option>
          ))}
        </select>
        <Button
          emphasis="quiet"
          small
          aria-label={`${t("app.theme")}: ${t(`app.theme.${theme}`)}`}
          onPress={() => setTheme(NEXT_THEME[theme])}
        >
          <Icon name={THEME_ICON[theme]} />
        </Button>
        {signedIn && (
          <Link to="/account" className={css.account}>
            {t("nav.account")}
          </Link>
        )}
        {signedIn && (
          <Button
            emphasis="quiet"
            small
            onPress={() => void signOut().then(() => client.setQueryData(meQuery().queryKey, null))}
          >
            {t("app.signOut")}
          </Button>
        )}
      </section>
    </header>
  );
}
