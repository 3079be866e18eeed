// Prints what a browser downloads for the first view, and what the whole page weighs, in gzip kilobytes.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url);
const html = readFileSync(new URL("index.html", dist), "utf8");
const first = new Set([...html.matchAll(/\/assets\/([^"]+)/g)].map((match) => match[1]));
const sizes = {
  "first view, js": 0,
  "first view, css": 0,
  "all js": 0,
  "all css": 0,
  "all fonts (not compressed again)": 0,
};
for (const name of readdirSync(new URL("assets/", dist))) {
  const bytes = readFileSync(new URL(`assets/${name}`, dist));
  const kind = name.split(".").at(-1);
  if (kind === "woff2") sizes["all fonts (not compressed again)"] += bytes.length;
  if (kind !== "js" && kind !== "css") continue;
  const size = gzipSync(bytes, { level: 9 }).length;
  sizes[`all ${kind}`] += size;
  if (first.has(name)) sizes[`first view, ${kind}`] += size;
}
for (const [what, size] of Object.entries(sizes)) console.log(`${what}: ${(size / 1000).toFixed(1)} kB`);
