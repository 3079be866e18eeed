// What a person does with the page, in a real browser against the real server.
//
// ASTROLABE_URL          address of a running `astrolabe serve`
// ASTROLABE_SIGNIN_URL   a one-time sign-in link that was not opened yet (`astrolabe login-link` prints one)
// CHROMIUM               path of the browser, when it is not /usr/bin/chromium
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { dropFiles, launch, openPage, violations, withPicture } from "./browser.mjs";
import { startCuttingProxy } from "./cutting-proxy.mjs";

const base = process.env.ASTROLABE_URL?.replace(/\/$/, "");
const signInLink = process.env.ASTROLABE_SIGNIN_URL;
assert.ok(base && signInLink, "set ASTROLABE_URL and ASTROLABE_SIGNIN_URL to run the journeys");

const SOURCE = `lighthouse ${process.pid}-${Date.now()}`;
const FILES = [
  {
    name: "lighthouse.md",
    text: `# Lighthouse of Marrow Point 🗼

The lighthouse of Marrow Point was built by volunteers.

## Lamp

The lamp of the Marrow Point lighthouse blinks every eleven seconds. It is lit at sunset by the keeper of the week.

## Supplies

Oil for the lamp is brought by boat on the first Tuesday of every month. The boat leaves the harbour at seven.

${"The log of the lighthouse lists wind, waves and passing ships for every watch.\n\n".repeat(30)}
## Foghorn

The foghorn of Marrow Point sounds three short signals when visibility is below two hundred metres.
`,
  },
  {
    name: "latarnia.md",
    text: `# Latarnia na Cyplu Szpikowym

Lampa latarni na Cyplu Szpikowym błyska co jedenaście sekund. Latarnik zapala ją o zachodzie słońca.

## Dostawy

Oliwę do lampy przywozi łódź w pierwszy wtorek każdego miesiąca.
`,
  },
];
const QUESTION = "How often does the lamp of the Marrow Point lighthouse blink?";
const DEEP_QUESTION = "When does the foghorn of Marrow Point sound three short signals?";
const UNANSWERABLE = "Which minister signed the trade agreement on walnut imports in 1873?";

const SET = `keeper's questions ${process.pid}`;
let browser;
let setId;
let session;
let sourceId;

before(async () => {
  browser = await launch();
});

after(async () => {
  await browser?.close();
});

/** A journey of its own in a signed-in page. Fails on script errors and on violations of the CSP too. */
function journey(name, walk, options = {}) {
  test(name, async () => {
    const { context, page, complaints } = await openPage(browser, {
      ...(options.signedOut ? {} : { storageState: session }),
      ...options.context,
    });
    try {
      await withPicture(page, name, () => walk(page, context));
      assert.deepEqual(complaints, []);
    } finally {
      await context.close();
    }
  });
}

/** Puts a question to the source of this run and waits for the end of the answer. */
async function ask(page, question) {
  await page.goto(`${base}/?sources=${sourceId}`);
  // The choice of sources is there when they are known.
  await page.getByRole("heading", { level: 1 }).waitFor();
  const box = page.getByRole("textbox");
  await box.fill(question);
  await box.press("Enter");
  await finished(page);
}

async function finished(page) {
  await page.locator("article[data-phase=done]").waitFor();
}

journey(
  "without a session the page explains the one-time link, and the link signs in",
  async (page, context) => {
    await page.goto(base);
    await page.getByText("astrolabe login-link").waitFor();
    assert.deepEqual(await violations(page), []);
    await page.emulateMedia({ colorScheme: "dark" });
    assert.deepEqual(await violations(page), []);
    await page.goto(signInLink);
    await page.getByRole("heading", { name: "Ask your documents" }).waitFor();
    session = await context.storageState();
  },
  { signedOut: true },
);

journey("two dropped files become ready before one's eyes", async (page) => {
  await page.goto(`${base}/documents`);
  await page.getByRole("button", { name: "New source" }).click();
  await page.getByRole("textbox", { name: "Name" }).fill(SOURCE);
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByRole("heading", { level: 1, name: SOURCE }).waitFor();
  sourceId = new URL(page.url()).pathname.split("/").at(-1);
  await dropFiles(page, page.locator("[data-testid=file-input]").locator(".."), FILES);
  for (const { name } of FILES) await page.locator(`tr[data-document="${name}"][data-state=ready]`).waitFor();
});

journey("an answer streams in with citations", async (page) => {
  await ask(page, QUESTION);
  assert.match(await page.getByTestId("answer").textContent(), /eleven seconds/);
  assert.ok((await page.locator("[data-citation]").count()) > 0);
  assert.match(await page.getByTestId("ask-status").textContent(), /Answer complete/);
  assert.match(await page.getByRole("log").textContent(), /eleven seconds/);
  // The address now names the answer: opening it again shows the same one.
  const shown = await page.getByTestId("answer").textContent();
  await page.reload();
  await finished(page);
  assert.equal(await page.getByTestId("answer").textContent(), shown);
});

journey("a citation opens its document with the passage marked, in view and in focus", async (page) => {
  await ask(page, DEEP_QUESTION);
  await page.getByTestId("answer").getByRole("button").first().click();
  await page.keyboard.press("Enter");
  const passage = page.locator("mark[data-passage]");
  await passage.first().waitFor();
  assert.match((await passage.allInnerTexts()).join(" "), /three short signals/);
  assert.equal(await page.evaluate(() => document.activeElement?.matches("mark[data-passage]")), true);
  assert.equal(
    await passage.first().evaluate((mark) => {
      const { top, bottom } = mark.getBoundingClientRect();
      return bottom > 0 && top < innerHeight;
    }),
    true,
  );
  // What is marked is what the address names, counted in characters.
  const { start, end } = Object.fromEntries(new URL(page.url()).searchParams);
  const id = new URL(page.url()).pathname.split("/").at(-1);
  const content = await page.evaluate((id) => fetch(`/api/v1/documents/${id}/content`).then((r) => r.json()), id);
  const cited = Array.from(content.text).slice(Number(start), Number(end)).join("");
  assert.match(cited, /three short signals/);
  await page.getByRole("link", { name: "Back to the answer" }).click();
  await finished(page);
});

journey("a question that the sources do not answer is refused", async (page) => {
  await ask(page, UNANSWERABLE);
  await page.getByTestId("not-found").waitFor();
  assert.equal(await page.getByTestId("answer").count(), 0);
});

journey("the settings of a source are changed with the keyboard alone, and are there afterwards", async (page) => {
  await page.goto(`${base}/sources/${sourceId}`);
  await page.getByRole("button", { name: "Settings" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  // The focus is in the name; the description is the next field.
  await page.keyboard.press("Tab");
  await page.keyboard.type("All about Marrow Point");
  await page.keyboard.press("Tab");
  await page.keyboard.type("sea, safety");
  await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowDown");
  await page.getByRole("radio", { name: "Only these people" }).and(page.locator(":checked")).waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.type("user:keeper");
  await page.getByRole("button", { name: "Weigh a tag" }).press("Enter");
  await page.keyboard.type("draft");
  await page.keyboard.press("Tab");
  await page.keyboard.type("0.5");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.getByText("All about Marrow Point").waitFor();
  const source = await page.evaluate((id) => fetch(`/api/v1/sources/${id}`).then((reply) => reply.json()), sourceId);
  assert.deepEqual(source.tags, ["sea", "safety"]);
  assert.deepEqual(source.readers, ["user:keeper"]);
  assert.deepEqual(source.ranking, { freshness: 0, half_life_days: 180, tags: { draft: 0.5 } });
  await page.getByRole("button", { name: "Settings" }).click();
  assert.equal(await page.getByRole("textbox", { name: "Ids of people" }).inputValue(), "user:keeper");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
});

journey("a bad answer gets a thumb and a reason, becomes a question, and its set is run and plotted", async (page) => {
  await ask(page, QUESTION);
  await page.getByRole("button", { name: "Bad answer" }).click();
  await page.getByRole("radio", { name: "Something is missing" }).check();
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText("Kept.").waitFor();
  await page.goto(`${base}/quality`);
  await page.getByRole("button", { name: "New question set" }).click();
  await page.getByRole("textbox", { name: "Name" }).fill(SET);
  await page.getByRole("combobox", { name: "Sources to ask" }).selectOption({ label: SOURCE });
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByRole("heading", { level: 1, name: SET }).waitFor();
  setId = new URL(page.url()).pathname.split("/").at(-1);
  await page.goto(`${base}/quality`);
  await page.getByRole("button", { name: `Make a question of it: ${QUESTION}` }).click();
  await page.getByRole("combobox", { name: "Put it into" }).selectOption({ label: SET });
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByRole("link", { name: "in a question set" }).click();
  await page.getByRole("heading", { level: 1, name: SET }).waitFor();
  const lines = [
    { id: "unanswerable", question: UNANSWERABLE, answerable: false },
    { id: "foghorn", question: DEEP_QUESTION, document: "lighthouse.md", answer_any: ["three short signals"] },
    { id: "wrong", question: QUESTION, answer_any: ["every forty seconds"] },
  ];
  await page.getByLabel(/File with questions/).setInputFiles({
    name: "questions.jsonl",
    mimeType: "application/x-ndjson",
    buffer: Buffer.from(lines.map((line) => JSON.stringify(line)).join("\n")),
  });
  await page.getByText("every forty seconds").waitFor();
  // A run is over when the plot has its point; only then is the next one asked for, and only then are its verdicts the ones shown.
  for (const over of [1, 2]) {
    await page.getByRole("button", { name: "Run now" }).click();
    await page.waitForFunction((runs) => document.querySelectorAll("svg[role=img] circle").length === runs, over);
    await page.getByText("The run is over: 2 of 3 right.").waitFor();
    await page.locator("[data-verdict=right], [data-verdict=rightly_refused]").nth(1).waitFor();
    await page.locator("[data-verdict=wrong_answer]").waitFor();
  }
  const plot = page.getByRole("img", { name: /Right answers over time/ });
  await plot.waitFor();
  await page.getByRole("combobox", { name: "Language" }).selectOption("pl");
  await page.getByRole("img", { name: /Trafne odpowiedzi w czasie/ }).waitFor();
  await page.getByRole("combobox", { name: "Język" }).selectOption("en");
});

journey("the language is switched, spoken everywhere and remembered", async (page) => {
  await page.goto(base);
  const titles = { en: "Ask your documents", pl: "Zapytaj swoje dokumenty", ru: "Спросите свои документы" };
  for (const [language, title] of Object.entries(titles)) {
    await page.getByRole("combobox").selectOption(language);
    await page.getByRole("heading", { level: 1, name: title }).waitFor();
    await page.reload();
    await page.getByRole("heading", { level: 1, name: title }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), language);
  }
});

journey(
  "the browser's language is spoken without being asked",
  async (page) => {
    await page.goto(base);
    await page.getByRole("heading", { level: 1, name: "Zapytaj swoje dokumenty" }).waitFor();
  },
  { context: { locale: "pl-PL" } },
);

journey("a question is asked and its passage opened with the keyboard alone", async (page) => {
  await page.goto(`${base}/?sources=${sourceId}`);
  await page.getByRole("heading", { level: 1 }).waitFor();
  const tabTo = async (matches) => {
    for (let presses = 0; presses < 60; presses++) {
      if (await page.evaluate(matches)) return;
      await page.keyboard.press("Tab");
    }
    assert.fail("the control cannot be reached with Tab");
  };
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("href")), "#content");
  await tabTo(() => document.activeElement?.tagName === "TEXTAREA");
  await page.keyboard.type(QUESTION);
  await page.keyboard.press("Enter");
  await finished(page);
  await tabTo(
    () =>
      document.activeElement?.closest("[data-testid=answer]") !== null && document.activeElement?.tagName === "BUTTON",
  );
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement?.closest("[data-citation]") !== null), true);
  await page.keyboard.press("Enter");
  await page.locator("mark[data-passage]").first().waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.matches("mark[data-passage]")), true);
});

test("an answer whose stream is cut goes on where it stopped", async () => {
  const proxy = await startCuttingProxy(base);
  const { context, page } = await openPage(browser, { storageState: session });
  try {
    await withPicture(page, "cut-stream", async () => {
      await page.goto(`${proxy.url}/?sources=${sourceId}`);
      proxy.state.holdAfter = 2;
      const box = page.getByRole("textbox");
      await box.fill(QUESTION);
      await box.press("Enter");
      // The second event has arrived, and nothing behind it: now the connection breaks.
      await page.getByText(/passages? found/).waitFor();
      proxy.cut();
      await finished(page);
      assert.deepEqual(proxy.state.resumedAfter, [2]);
      assert.match(await page.getByTestId("answer").textContent(), /eleven seconds/);
    });
  } finally {
    await context.close();
    proxy.close();
  }
});

for (const colorScheme of ["light", "dark"]) {
  journey(
    `no view has an accessibility violation in ${colorScheme} colours, on a desk or on a phone`,
    async (page) => {
      await page.goto(base);
      const items = await page.evaluate(
        (id) =>
          fetch(`/api/v1/sources/${id}/documents`)
            .then((r) => r.json())
            .then((list) => list.items),
        sourceId,
      );
      const views = {
        ask: async () => {
          await page.goto(base);
          await page.getByRole("heading", { level: 1 }).waitFor();
        },
        answer: () => ask(page, QUESTION),
        "not found in the sources": () => ask(page, UNANSWERABLE),
        documents: async () => {
          await page.goto(`${base}/documents`);
          await page.getByRole("link", { name: SOURCE }).waitFor();
        },
        "new source": () => page.getByRole("button", { name: "New source" }).click(),
        source: async () => {
          await page.goto(`${base}/sources/${sourceId}`);
          await page.getByRole("table").waitFor();
        },
        "settings of a source": async () => {
          await page.getByRole("button", { name: "Settings" }).click();
          await page.getByRole("dialog").waitFor();
        },
        "delete a document": async () => {
          await page.keyboard.press("Escape");
          await page.getByRole("dialog").waitFor({ state: "detached" });
          await page.getByRole("button", { name: `Delete ${items[0].name}` }).click();
          await page.getByRole("alertdialog").waitFor();
        },
        reader: async () => {
          await page.goto(`${base}/documents/${items[0].id}?start=2&end=60`);
          await page.locator("mark[data-passage]").first().waitFor();
        },
        quality: async () => {
          await page.goto(`${base}/quality`);
          await page.getByRole("link", { name: SET }).waitFor();
        },
        "new question set": () => page.getByRole("button", { name: "New question set" }).click(),
        "question set": async () => {
          await page.goto(`${base}/quality/${setId}`);
          await page.getByRole("img", { name: /Right answers over time/ }).waitFor();
          await page.locator("[data-verdict=wrong_answer]").waitFor();
        },
        "add a question": () => page.getByRole("button", { name: "Add a question" }).click(),
        activity: async () => {
          await page.goto(`${base}/activity`);
          await page.getByRole("heading", { name: "Jobs" }).waitFor();
        },
        "no such page": () => page.goto(`${base}/nowhere`),
        "no such source": async () => {
          await page.goto(`${base}/sources/src_00000000000000000000000000`);
          await page.getByRole("alert").waitFor();
        },
      };
      for (const viewport of [
        { width: 1280, height: 800 },
        { width: 390, height: 844 },
      ]) {
        await page.setViewportSize(viewport);
        for (const [name, go] of Object.entries(views)) {
          await go();
          assert.deepEqual(await violations(page), [], `${name} at ${viewport.width}`);
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(overflow <= 0, `${name} is ${overflow} px wider than a window of ${viewport.width}`);
        }
      }
    },
    { context: { colorScheme, reducedMotion: "reduce" } },
  );
}

journey("a document and a source are deleted after a confirmation", async (page) => {
  await page.goto(`${base}/sources/${sourceId}`);
  const [{ name }] = FILES;
  await page.getByRole("button", { name: `Delete ${name}` }).click();
  await page.getByRole("button", { name: "Delete document" }).click();
  await page.locator(`tr[data-document="${name}"]`).waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Delete source" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Delete source" }).click();
  await page.getByRole("heading", { level: 1, name: "Documents" }).waitFor();
  await page.getByRole("link", { name: SOURCE }).waitFor({ state: "detached" });
});
