import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import type { ApiKey, MadeApiKey, Page } from "../src/api/types.ts";
import { open } from "./render.tsx";
import { json, serve } from "./server.ts";

const KEY: ApiKey = {
  id: "key_1",
  name: "nightly",
  owner: "user:x",
  hint: "abcd",
  scopes: ["read_knowledge"],
  created_at: "2026-11-20T10:00:00.000000Z",
  expires_at: null,
  last_used_at: null,
  revoked_at: null,
};

test("a new key is made for chosen rights and its secret is shown once", async () => {
  const user = userEvent.setup();
  const made: MadeApiKey = { ...KEY, secret: "astro_secret" };
  const { seen } = serve({
    "GET /api/v1/api-keys": () => json<Page<ApiKey>>({ items: [], next_cursor: null }),
    "POST /api/v1/api-keys": () => json(made, 201),
  });
  await open("/account");
  expect(await screen.findByText(/No keys yet/)).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "New key" }));
  const dialog = await screen.findByRole("dialog");
  await user.type(within(dialog).getByLabelText("What it is for"), "nightly");
  await user.click(within(dialog).getByLabelText("read_audit"));
  await user.click(within(dialog).getByRole("button", { name: "Make the key" }));
  expect(await within(dialog).findByText("astro_secret")).toBeTruthy();
  const body = seen.find((r) => r.method === "POST")?.body;
  expect(body).toEqual({ name: "nightly", scopes: ["read_knowledge", "read_audit"], expires_in_days: 90 });
  await user.click(within(dialog).getByRole("button", { name: "I have kept it" }));
  expect(screen.queryByText("astro_secret")).toBeNull();
});

test("a key is revoked after a question and then shown as such", async () => {
  const user = userEvent.setup();
  let key = KEY;
  serve({
    "GET /api/v1/api-keys": () => json<Page<ApiKey>>({ items: [key], next_cursor: null }),
    "DELETE /api/v1/api-keys/key_1": () => {
      key = { ...KEY, revoked_at: "2026-11-20T11:00:00.000000Z" };
      return json(key);
    },
  });
  await open("/account");
  await user.click(await screen.findByRole("button", { name: "Revoke: nightly" }));
  await user.click(within(await screen.findByRole("alertdialog")).getByRole("button", { name: "Revoke" }));
  expect(await screen.findByText(/revoked · never used/)).toBeTruthy();
});
