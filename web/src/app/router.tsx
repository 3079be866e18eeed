import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  type RouterHistory,
} from "@tanstack/react-router";
import { DOCUMENT_STATES, type DocumentState } from "../api/types.ts";
import { AskPage } from "../features/ask/ask-page.tsx";
import { ErrorPage } from "./error-page.tsx";
import { Layout } from "./layout.tsx";
import { NotFoundPage } from "./not-found-page.tsx";

/** What the address of the ask view holds: the answer shown, and ids of sources to look in, joined by commas. */
export interface AskSearch {
  ask?: string;
  sources?: string;
}

/** What the address of the reader holds: the passage, in code points, and the answer that led there. */
export interface ReaderSearch {
  start?: number;
  end?: number;
  ask?: string;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function offset(value: unknown): number | undefined {
  const number = typeof value === "number" ? value : typeof value === "string" ? Number(value) : Number.NaN;
  return Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

const root = createRootRoute({ component: Layout, notFoundComponent: NotFoundPage, errorComponent: ErrorPage });

const ask = createRoute({
  getParentRoute: () => root,
  path: "/",
  validateSearch: (search: Record<string, unknown>): AskSearch => ({
    ask: text(search.ask),
    sources: text(search.sources),
  }),
  component: AskPage,
});

const documents = createRoute({
  getParentRoute: () => root,
  path: "/documents",
  component: lazyRouteComponent(() => import("../features/documents/sources-page.tsx"), "SourcesPage"),
});

const source = createRoute({
  getParentRoute: () => root,
  path: "/sources/$sourceId",
  validateSearch: (search: Record<string, unknown>): { state?: DocumentState } => ({
    state: DOCUMENT_STATES.find((state) => state === search.state),
  }),
  component: lazyRouteComponent(() => import("../features/documents/source-page.tsx"), "SourcePage"),
});

const reader = createRoute({
  getParentRoute: () => root,
  path: "/documents/$documentId",
  validateSearch: (search: Record<string, unknown>): ReaderSearch => ({
    start: offset(search.start),
    end: offset(search.end),
    ask: text(search.ask),
  }),
  component: lazyRouteComponent(() => import("../features/reader/reader-page.tsx"), "ReaderPage"),
});

const activity = createRoute({
  getParentRoute: () => root,
  path: "/activity",
  component: lazyRouteComponent(() => import("../features/activity/activity-page.tsx"), "ActivityPage"),
});

const quality = createRoute({
  getParentRoute: () => root,
  path: "/quality",
  component: lazyRouteComponent(() => import("../features/quality/quality-page.tsx"), "QualityPage"),
});

const questionSet = createRoute({
  getParentRoute: () => root,
  path: "/quality/$setId",
  validateSearch: (search: Record<string, unknown>): { run?: string } => ({ run: text(search.run) }),
  component: lazyRouteComponent(() => import("../features/quality/question-set-page.tsx"), "QuestionSetPage"),
});

const account = createRoute({
  getParentRoute: () => root,
  path: "/account",
  component: lazyRouteComponent(() => import("../features/account/account-page.tsx"), "AccountPage"),
});

const people = createRoute({
  getParentRoute: () => root,
  path: "/people",
  component: lazyRouteComponent(() => import("../features/people/people-page.tsx"), "PeoplePage"),
});

const usage = createRoute({
  getParentRoute: () => root,
  path: "/usage",
  component: lazyRouteComponent(() => import("../features/usage/usage-page.tsx"), "UsagePage"),
});

const routeTree = root.addChildren([
  usage,
  people,
  ask,
  documents,
  source,
  reader,
  quality,
  questionSet,
  activity,
  account,
]);

/** Makes the router; without a history it is the browser's address bar. */
export function createAppRouter(history?: RouterHistory) {
  return createRouter({
    routeTree,
    history,
    defaultPreload: "intent",
    defaultErrorComponent: ErrorPage,
    defaultNotFoundComponent: NotFoundPage,
    scrollRestoration: true,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
