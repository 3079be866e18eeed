// The browser of the journeys: Debian's Chromium, driven without Playwright's own downloads.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** How long an element may take to appear before a journey fails, in milliseconds. */
export const PATIENCE = 60_000;

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
}

/**
 * Opens a page that notes everything the browser complains about: script errors and violations of the
 * Content-Security-Policy. `options` are Playwright's context options.
 */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ locale: "en-US", viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) complaints.push(message.text());
  });
  return { context, page, complaints };
}

/** Waits until nothing moves that will come to rest: colours halfway between two themes have no contrast to judge. */
async function settled(page) {
  await page.evaluate(async () => {
    await new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
    const ending = document
      .getAnimations()
      .filter((a) => a.effect?.getComputedTiming().iterations !== Number.POSITIVE_INFINITY);
    await Promise.allSettled(ending.map((animation) => animation.finished));
  });
}

/** The axe violations of the page as it is, each as one line. */
export async function violations(page) {
  await settled(page);
  const { violations: found } = await new AxeBuilder({ page }).analyze();
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`);
}

/** Runs a journey and keeps a picture of where it ended when it fails. */
export async function withPicture(page, name, journey) {
  try {
    await journey();
  } catch (error) {
    mkdirSync("test-results", { recursive: true });
    await page.screenshot({ path: `test-results/${name.replace(/\W+/g, "-")}.png` }).catch(() => undefined);
    throw error;
  }
}

/** Drags files from the desktop onto an element and releases them there, as the browser itself sees it. */
export async function dropFiles(page, target, files) {
  const folder = mkdtempSync(join(tmpdir(), "astrolabe-drop-"));
  try {
    const paths = files.map(({ name, text }) => {
      const path = join(folder, name);
      writeFileSync(path, text);
      return path;
    });
    await target.scrollIntoViewIfNeeded();
    const { x, y, width, height } = await target.boundingBox();
    const at = { x: x + width / 2, y: y + height / 2 };
    const data = { items: [], files: paths, dragOperationsMask: 1 };
    const devtools = await page.context().newCDPSession(page);
    let answers = 0;
    const answered = page.waitForResponse((response) => isUpload(response) && ++answers === files.length);
    for (const type of ["dragEnter", "dragOver", "drop"]) {
      await devtools.send("Input.dispatchDragEvent", { type, ...at, data });
    }
    await answered;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function isUpload(response) {
  return response.request().method() === "POST" && new URL(response.url()).pathname.endsWith("/documents");
}
