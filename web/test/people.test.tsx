import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import type { AddedMember, Me, Member, Page } from "../src/api/types.ts";
import { open } from "./render.tsx";
import { json, ME, serve } from "./server.ts";

const ANNA: Member = {
  id: "usr_2",
  email: "anna@example.com",
  name: "Anna",
  role: "viewer",
  capabilities: ["sre"],
  state: "active",
  created_at: "2026-11-20T10:00:00.000000Z",
  updated_at: "2026-11-20T10:00:00.000000Z",
};

const CHIEF: Me = { ...ME, principal: { ...ME.principal, rights: ["own_account", "manage_users"] } };

function people(routes: Parameters<typeof serve>[0] = {}) {
  return serve({
    "GET /api/v1/me": () => json(CHIEF),
    "GET /api/v1/users": () => json<Page<Member>>({ items: [ANNA], next_cursor: null }),
    "GET /api/v1/users/usr_2": () =>
      new Response(JSON.stringify(ANNA), { headers: { "content-type": "application/json", etag: '"3"' } }),
    ...routes,
  });
}

test("somebody who is added gets a link that is shown once", async () => {
  const user = userEvent.setup();
  const added: AddedMember = { ...ANNA, sign_in_path: "/signin?code=abc", expires_in: 900 };
  const { seen } = people({ "POST /api/v1/users": () => json(added, 201) });
  await open("/people");
  await user.click(await screen.findByRole("button", { name: "Add a person" }));
  const dialog = await screen.findByRole("dialog");
  await user.type(within(dialog).getByLabelText("E-mail"), "anna@example.com");
  await user.selectOptions(within(dialog).getByLabelText("Role"), "editor");
  await user.click(within(dialog).getByRole("button", { name: "Add" }));
  expect(await within(dialog).findByText(/\/signin\?code=abc$/)).toBeTruthy();
  const body = seen.find((r) => r.method === "POST")?.body;
  expect(body).toEqual({ email: "anna@example.com", name: null, role: "editor", capabilities: [] });
});

test("a change names the version that it is a change of", async () => {
  const user = userEvent.setup();
  const { seen } = people({ "PATCH /api/v1/users/usr_2": () => json(ANNA) });
  await open("/people");
  await user.click(await screen.findByRole("button", { name: "Edit: Anna" }));
  const dialog = await screen.findByRole("dialog");
  await user.selectOptions(within(dialog).getByLabelText("Role"), "editor");
  await user.click(within(dialog).getByRole("button", { name: "Save" }));
  await expect.poll(() => seen.find((r) => r.method === "PATCH")).toBeTruthy();
  const patch = seen.find((r) => r.method === "PATCH");
  expect(patch?.headers.get("if-match")).toBe('"3"');
  expect(patch?.body).toEqual({ role: "editor", capabilities: ["sre"] });
});

test("who may not manage people is not led to their page", async () => {
  serve({});
  await open("/account");
  expect(await screen.findByRole("link", { name: "Activity" })).toBeTruthy();
  expect(screen.queryByRole("link", { name: "People" })).toBeNull();
});
