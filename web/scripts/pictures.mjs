// Takes pictures of the page of a running server. `scripts/pictures.sh` starts one and calls this.
//
// ASTROLABE_URL          address of a running `astrolabe serve` that has the example documents
// ASTROLABE_SIGNIN_URL   a one-time sign-in link that was not opened yet
// README_PICTURE         where the picture of the README goes
// VIEWS                  a folder for pictures of every view, to look at; none are taken when empty
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { launch, openPage } from "../e2e/browser.mjs";

const base = process.env.ASTROLABE_URL.replace(/\/$/, "");
const { README_PICTURE, VIEWS } = process.env;
const QUESTION = process.env.QUESTION ?? "How are backups kept and how often are they tested?";
const UNANSWERABLE = "Which minister signed the trade agreement on walnut imports in 1873?";

const browser = await launch();
const { context, page } = await openPage(browser);
await page.goto(process.env.ASTROLABE_SIGNIN_URL);
await page.getByRole("heading", { level: 1 }).waitFor();
const storageState = await context.storageState();
const get = (path) => page.evaluate((path) => fetch(path).then((reply) => reply.json()), path);
const sources = (await get("/api/v1/sources")).items;

async function ask(on, question, search = "") {
  await on.goto(`${base}/${search}`);
  await on.locator("textarea").fill(question);
  await on.locator("textarea").press("Enter");
  await on.locator("article[data-phase=done]").waitFor();
}

if (README_PICTURE) {
  const { page: wide } = await openPage(browser, {
    storageState,
    viewport: { width: 1280, height: 860 },
    deviceScaleFactor: 1.5,
    colorScheme: "light",
    reducedMotion: "reduce",
  });
  const source = sources.find(({ name }) => name === "examples-en");
  await ask(wide, QUESTION, `?sources=${source.id}`);
  // The first number is pressed, so that its passage stands out.
  await wide.getByTestId("answer").getByRole("button").first().click();
  await wide.evaluate(() => scrollTo(0, 0));
  await wide.screenshot({ path: README_PICTURE });
}

if (VIEWS) {
  mkdirSync(VIEWS, { recursive: true });
  const source = sources.find(({ name }) => name === "examples-en") ?? sources[0];
  const document = (await get(`/api/v1/sources/${source.id}/documents?limit=50`)).items.find(
    ({ state }) => state === "ready",
  );
  const views = {
    ask: (on) => on.goto(base),
    answer: (on) => ask(on, QUESTION),
    "not-found": (on) => ask(on, UNANSWERABLE),
    documents: (on) => on.goto(`${base}/documents`),
    source: (on) => on.goto(`${base}/sources/${source.id}`),
    settings: async (on) => {
      await on.goto(`${base}/sources/${source.id}`);
      await on.getByRole("button", { name: /^(Settings|Ustawienia|Настройки)$/ }).click();
    },
    reader: (on) => on.goto(`${base}/documents/${document.id}?start=40&end=200`),
    quality: (on) => on.goto(`${base}/quality`),
    activity: (on) => on.goto(`${base}/activity`),
    nowhere: (on) => on.goto(`${base}/nowhere`),
  };
  for (const language of ["en", "pl", "ru"]) {
    for (const colorScheme of ["light", "dark"]) {
      for (const width of [1280, 390]) {
        const { context: one, page: on } = await openPage(browser, {
          storageState,
          locale: language,
          viewport: { width, height: width === 390 ? 844 : 800 },
          colorScheme,
          reducedMotion: "reduce",
        });
        for (const [name, go] of Object.entries(views)) {
          await go(on);
          await on.locator("h1").waitFor();
          // A view has no sign for "everything is here"; a person would look a moment later, too.
          await on.waitForTimeout(500);
          await on.screenshot({
            path: join(VIEWS, `${name}-${language}-${colorScheme}-${width}.png`),
            fullPage: name !== "settings",
          });
        }
        await one.close();
      }
    }
  }
}
await browser.close();
