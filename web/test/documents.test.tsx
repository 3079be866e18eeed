import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { open } from "./render.tsx";
import { content, document, documentEvent, frames, json, problem, serve, source, stream } from "./server.ts";

const QUIET = { "GET /api/v1/sources/src_1/events": () => stream("", "stay") };

test("a document turns ready on the page as its event arrives", async () => {
  let state: "queued" | "ready" = "queued";
  serve({
    "GET /api/v1/sources/src_1": () => json(source()),
    "GET /api/v1/sources/src_1/documents": () => json({ items: [document({ state })], next_cursor: null }),
    "GET /api/v1/sources/src_1/events": () => {
      state = "ready";
      return stream(frames([documentEvent("running"), documentEvent("ready", { chunks: 2 })]), "stay");
    },
  });
  await open("/sources/src_1");
  const row = await screen.findByRole("row", { name: /network\.md/ });
  await waitFor(() => expect(within(row).getByText("Ready")).toBeTruthy());
});

test("a failed document says why and can be retried", async () => {
  const failed = document({ state: "failed", error: { code: "unreadable", message: "not valid text" } });
  const { seen } = serve({
    ...QUIET,
    "GET /api/v1/sources/src_1": () => json(source()),
    "GET /api/v1/sources/src_1/documents": () => json({ items: [failed], next_cursor: null }),
    "POST /api/v1/documents/doc_1/retry": () => json({ ...failed, state: "queued" }, 202),
  });
  await open("/sources/src_1");
  expect(await screen.findByText("not valid text")).toBeTruthy();
  await userEvent.click(screen.getByRole("button", { name: "Retry network.md" }));
  await waitFor(() => expect(seen.some(({ path }) => path === "/api/v1/documents/doc_1/retry")).toBe(true));
});

test("nothing is deleted before it is confirmed", async () => {
  const { seen } = serve({
    ...QUIET,
    "GET /api/v1/sources/src_1": () => json(source()),
    "GET /api/v1/sources/src_1/documents": () => json({ items: [document()], next_cursor: null }),
    "DELETE /api/v1/documents/doc_1": () => new Response(null, { status: 204 }),
  });
  const deleted = () => seen.some(({ method }) => method === "DELETE");
  await open("/sources/src_1");
  const user = userEvent.setup();
  await user.click(await screen.findByRole("button", { name: "Delete network.md" }));
  const dialog = await screen.findByRole("alertdialog", { name: "Delete “network.md”?" });
  expect(deleted()).toBe(false);
  await user.click(within(dialog).getByRole("button", { name: "Delete document" }));
  await waitFor(() => expect(deleted()).toBe(true));
});

test("more documents are loaded behind the cursor", async () => {
  const { seen } = serve({
    ...QUIET,
    "GET /api/v1/sources/src_1": () => json(source()),
    "GET /api/v1/sources/src_1/documents": ({ url }) =>
      url.searchParams.get("cursor") === "c1"
        ? json({ items: [document({ id: "doc_2", name: "second.md" })], next_cursor: null })
        : json({ items: [document()], next_cursor: "c1" }),
  });
  await open("/sources/src_1");
  await userEvent.click(await screen.findByRole("button", { name: "Load more" }));
  expect(await screen.findByRole("row", { name: /second\.md/ })).toBeTruthy();
  expect(seen.some(({ query }) => query.get("cursor") === "c1")).toBe(true);
});

test("the address chooses the state that is shown", async () => {
  const { seen } = serve({
    ...QUIET,
    "GET /api/v1/sources/src_1": () => json(source()),
    "GET /api/v1/sources/src_1/documents": () => json({ items: [], next_cursor: null }),
  });
  await open("/sources/src_1?state=failed");
  expect(await screen.findByText("No document is in this state.")).toBeTruthy();
  expect(seen.find(({ path }) => path.endsWith("/documents"))?.query.get("state")).toBe("failed");
});

test("chosen files are sent by their names and refusals are listed", async () => {
  const sent: string[] = [];
  serve({
    ...QUIET,
    "GET /api/v1/sources/src_1": () => json(source()),
    "GET /api/v1/sources/src_1/documents": () => json({ items: [], next_cursor: null }),
    "POST /api/v1/sources/src_1/documents": ({ body }) => {
      const file = (body as FormData).get("file") as File;
      sent.push(file.name);
      return file.name.endsWith(".exe")
        ? problem(415, "unsupported_type", "Unsupported type", "only text is read")
        : json({ items: [document({ name: file.name, state: "queued" })] }, 202);
    },
  });
  await open("/sources/src_1");
  const input = await screen.findByTestId("file-input");
  await userEvent.upload(input, [new File(["# A"], "a.md"), new File(["MZ"], "b.exe")]);
  expect(await screen.findByText("1 file was refused")).toBeTruthy();
  expect(screen.getByText(/only text is read/)).toBeTruthy();
  expect(sent.sort()).toEqual(["a.md", "b.exe"]);
});

test("a source name that is taken is said inside of the dialog", async () => {
  serve({
    "GET /api/v1/sources": () => json({ items: [source()], next_cursor: null }),
    "POST /api/v1/sources": () => problem(409, "source_exists", "Source exists", "choose another name"),
  });
  await open("/documents");
  const user = userEvent.setup();
  await user.click(await screen.findByRole("button", { name: "New source" }));
  await user.type(await screen.findByRole("textbox", { name: "Name" }), "handbook");
  await user.click(screen.getByRole("button", { name: "Create" }));
  expect((await screen.findByRole("alert")).textContent).toContain("choose another name");
});

test("a cited passage is marked and has the focus, also behind wide characters", async () => {
  const text = "🧭 Guide\n\nBefore 🛰️ it. The passage is here. After.\n";
  const start = Array.from(text.slice(0, text.indexOf("The passage"))).length;
  const passage = "The passage is here.";
  serve({
    "GET /api/v1/documents/doc_1": () => json(document()),
    "GET /api/v1/documents/doc_1/content": () => json(content({ text })),
  });
  await open(`/documents/doc_1?start=${start}&end=${start + passage.length}&ask=ask_1`);
  const mark = await waitFor(() => {
    const found = globalThis.document.querySelector<HTMLElement>("[data-passage]");
    if (!found) throw new Error("no passage yet");
    return found;
  });
  const spoken = "Start of the cited passage. ";
  expect(mark.textContent).toBe(`${spoken}${passage} End of the cited passage.`);
  expect(globalThis.document.activeElement).toBe(mark);
  expect(screen.getByRole("link", { name: "Back to the answer" }).getAttribute("href")).toBe("/?ask=ask_1");
});

test("markup in a document is shown and never run", async () => {
  serve({
    "GET /api/v1/documents/doc_1": () => json(document()),
    "GET /api/v1/documents/doc_1/content": () => json(content({ text: "<img src=x onerror=alert(1)>" })),
  });
  await open("/documents/doc_1");
  expect(await screen.findByText("<img src=x onerror=alert(1)>")).toBeTruthy();
  expect(globalThis.document.querySelector("article img")).toBeNull();
});

test("a passage that the text no longer has is said", async () => {
  serve({
    "GET /api/v1/documents/doc_1": () => json(document()),
    "GET /api/v1/documents/doc_1/content": () => json(content({ text: "short" })),
  });
  await open("/documents/doc_1?start=500&end=600");
  expect(await screen.findByText(/no longer in this text/)).toBeTruthy();
});

test("the settings of a source send what was changed, and nothing else", async () => {
  const ranking = { freshness: 0.335, half_life_days: 90, tags: { draft: 0.5 } };
  let now = source({ description: "old", ranking });
  const { seen } = serve({
    ...QUIET,
    "GET /api/v1/sources/src_1": () => json(now),
    "GET /api/v1/sources/src_1/documents": () => json({ items: [], next_cursor: null }),
    "PATCH /api/v1/sources/src_1": ({ body }) => {
      now = { ...now, ...(body as Partial<typeof now>) };
      return json(now);
    },
  });
  const sent = () => seen.filter(({ method }) => method === "PATCH").map(({ body }) => body);
  await open("/sources/src_1");
  const user = userEvent.setup();
  const save = async () => {
    await user.click(screen.getByRole("button", { name: "Save" }));
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  };
  await user.click(await screen.findByRole("button", { name: "Settings" }));
  const description = await screen.findByRole("textbox", { name: "Description (optional)" });
  await user.clear(description);
  await user.type(description, "Everything about bees");
  await user.click(screen.getByRole("radio", { name: "Only these people" }));
  await user.type(
    screen.getByRole("textbox", { name: "Ids of people, one on each line" }),
    "user:ann{Enter} ,user:bo ",
  );
  await save();
  expect(sent()).toEqual([{ description: "Everything about bees", readers: ["user:ann", ",user:bo"] }]);
  expect(await screen.findByText("Everything about bees")).toBeTruthy();

  await user.click(screen.getByRole("button", { name: "Settings" }));
  await user.click(await screen.findByRole("radio", { name: "Everybody" }));
  await user.click(screen.getByRole("button", { name: "Weigh a tag" }));
  await user.keyboard("policy");
  await save();
  expect(sent().at(-1)).toEqual({
    readers: null,
    ranking: { ...ranking, tags: { draft: 0.5, policy: 1.5 } },
  });

  await user.click(screen.getByRole("button", { name: "Settings" }));
  await screen.findByRole("dialog");
  await save();
  expect(sent()).toHaveLength(2);
});
