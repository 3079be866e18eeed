import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import type { AuditEntry, Job } from "../src/api/types.ts";
import { open } from "./render.tsx";
import { json, ME, problem, serve } from "./server.ts";

test("without a session the page says where the link comes from", async () => {
  serve({ "GET /api/v1/me": () => problem(401, "missing_token", "Unauthorized") });
  await open("/documents");
  expect(await screen.findByRole("heading", { name: "Sign in" })).toBeTruthy();
  expect(screen.getByText("astrolabe login-link")).toBeTruthy();
  expect(screen.queryByRole("navigation", { name: "Main" })).toBeNull();
});

test("a wrong password is refused without telling which half is wrong, and a right one opens the page", async () => {
  const user = userEvent.setup();
  let signedIn = false;
  const { seen } = serve({
    "GET /api/v1/me": () => (signedIn ? json(ME) : problem(401, "missing_token", "Unauthorized")),
    "POST /api/v1/sessions": ({ body }) => {
      signedIn = (body as { password: string }).password === "seven lamps near Gdynia";
      return signedIn
        ? json({ session: "ses_1", must_change: false }, 201)
        : problem(401, "invalid_credentials", "Wrong e-mail or password");
    },
  });
  await open("/account");
  await user.type(await screen.findByLabelText("E-mail"), "anna@example.com");
  await user.type(screen.getByLabelText("Password"), "guess");
  await user.click(screen.getByRole("button", { name: "Sign in" }));
  expect((await screen.findByRole("alert")).textContent).toMatch(/E-mail or password is wrong/);
  await user.type(screen.getByLabelText("Password"), "seven lamps near Gdynia");
  await user.click(screen.getByRole("button", { name: "Sign in" }));
  expect(await screen.findByRole("heading", { name: "Account" })).toBeTruthy();
  expect(seen.filter((r) => r.path === "/api/v1/sessions")[1]?.body).toEqual({
    email: "anna@example.com",
    password: "seven lamps near Gdynia",
  });
});

test("single sign-on is offered where there is a provider, with what became of the last try", async () => {
  serve({
    "GET /api/v1/me": () => problem(401, "missing_token", "Unauthorized"),
    "GET /api/sign-in": () => json({ oidc: { name: "Work", href: "/signin/oidc" } }),
  });
  window.history.replaceState(null, "", "/sources?sign_in=refused");
  await open("/sources");
  const link = await screen.findByRole("link", { name: "Sign in with Work" });
  expect(link.getAttribute("href")).toBe("/signin/oidc?return_to=/sources");
  expect(screen.getByRole("alert").textContent).toMatch(/Ask an administrator for a role/);
  window.history.replaceState(null, "", "/");
});

test("a session that ends anywhere brings the sign-in view", async () => {
  serve({ "GET /api/v1/sources": () => problem(401, "invalid_token", "Unauthorized") });
  await open("/documents");
  expect(await screen.findByRole("heading", { name: "Sign in" })).toBeTruthy();
});

test("opening the link elsewhere is noticed on checking", async () => {
  let signedIn = false;
  serve({
    "GET /api/v1/me": () => (signedIn ? json(ME) : problem(401, "missing_token", "Unauthorized")),
  });
  await open("/");
  const check = await screen.findByRole("button", { name: "I have opened the link" });
  signedIn = true;
  await userEvent.click(check);
  expect(await screen.findByRole("heading", { name: "Ask your documents" })).toBeTruthy();
});

test("the language is switched at once and remembered", async () => {
  serve({});
  await open("/");
  const user = userEvent.setup();
  const choice = await screen.findByRole("combobox", { name: "Language" });
  await user.selectOptions(choice, "pl");
  expect(await screen.findByRole("heading", { name: "Zapytaj swoje dokumenty" })).toBeTruthy();
  expect(document.documentElement.lang).toBe("pl");
  expect(localStorage.getItem("astrolabe.language")).toBe("pl");
  await user.selectOptions(screen.getByRole("combobox", { name: "Język" }), "ru");
  expect(await screen.findByRole("heading", { name: "Спросите свои документы" })).toBeTruthy();
});

test("the colours are switched and remembered", async () => {
  serve({});
  await open("/");
  const user = userEvent.setup();
  await user.click(await screen.findByRole("button", { name: "Colours: As the system" }));
  expect(document.documentElement.dataset.theme).toBe("light");
  await user.click(screen.getByRole("button", { name: "Colours: Light" }));
  expect(document.documentElement.dataset.theme).toBe("dark");
  expect(localStorage.getItem("astrolabe.theme")).toBe("dark");
  await user.click(screen.getByRole("button", { name: "Colours: Dark" }));
  expect(document.documentElement.dataset.theme).toBeUndefined();
});

test("an address that leads nowhere says so and leads on", async () => {
  serve({});
  await open("/nowhere");
  expect(await screen.findByRole("heading", { name: "There is nothing at this address" })).toBeTruthy();
  expect(screen.getByRole("link", { name: "Ask a question" }).getAttribute("href")).toBe("/");
});

test("a lost connection is said and the page stays", async () => {
  serve({
    "GET /readyz": () => {
      throw new TypeError("failed to fetch");
    },
  });
  await open("/");
  expect(await screen.findByText("The server does not answer. Trying again…")).toBeTruthy();
  expect(screen.getByRole("heading", { name: "Ask your documents" })).toBeTruthy();
});

test("focus goes to the heading of a new view", async () => {
  serve({});
  await open("/");
  await userEvent.click(await screen.findByRole("link", { name: "Documents" }));
  const heading = await screen.findByRole("heading", { level: 1, name: "Documents" });
  await waitFor(() => expect(document.activeElement).toBe(heading));
  expect(document.title).toBe("Documents · Astrolabe");
});

test("activity lists jobs and audit entries", async () => {
  const times = { created_at: "2026-11-20T10:00:00Z", updated_at: "2026-11-20T10:00:00Z", finished_at: null };
  const job: Job = {
    id: "job_1",
    kind: "ingest_document",
    subject: "doc_1",
    state: "failed",
    version: 3,
    attempts: 1,
    max_attempts: 5,
    done: 0,
    total: 0,
    stage: "",
    error: { code: "unreadable", message: "not text" },
    ...times,
  };
  const entry: AuditEntry = {
    id: "aud_1",
    actor: "user:local-admin",
    action: "sources.create",
    subject: "src_1",
    outcome: "ok",
    trace_id: "4bf92f35",
    request_id: "req_1",
    tenant_id: "ten_1",
    payload: null,
    payload_hash: "00",
    created_at: times.created_at,
  };
  const { seen } = serve({
    "GET /api/v1/jobs": () => json({ items: [job], next_cursor: null }),
    "GET /api/v1/audit": () => json({ items: [entry], next_cursor: null }),
    "POST /api/v1/jobs/job_1/retry": () => json({ ...job, state: "queued" }),
  });
  await open("/activity");
  expect(await screen.findByText("Read a document")).toBeTruthy();
  expect(screen.getByText("not text")).toBeTruthy();
  expect(screen.getByRole("link", { name: "doc_1" }).getAttribute("href")).toBe("/documents/doc_1");
  expect(await screen.findByText("sources.create")).toBeTruthy();
  await userEvent.click(screen.getByRole("button", { name: "Retry: Read a document doc_1" }));
  await waitFor(() => expect(seen.some(({ path }) => path.endsWith("/retry"))).toBe(true));
});
