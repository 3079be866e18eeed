import optimizeLocales from "@react-aria/optimize-locales-plugin";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// The address of a running `astrolabe serve` that the development server forwards API calls to.
const server = process.env.ASTROLABE_URL ?? "http://127.0.0.1:8080";
const forwarded = ["/api", "/v1", "/signin", "/readyz", "/health", "/docs", "/metrics"];

export default defineConfig({
  plugins: [
    react(),
    // React Aria ships its own words in 34 languages; the page speaks three, which saves about 20 KB gzip.
    { ...optimizeLocales.vite({ locales: ["en-US", "pl-PL", "ru-RU"] }), enforce: "pre" },
  ],
  build: {
    outDir: "dist",
    // The Content-Security-Policy forbids data: fonts and scripts, so every asset is a file of its own.
    assetsInlineLimit: 0,
    // An inline module-preload polyfill is not needed by the browsers we support.
    modulePreload: { polyfill: false },
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
  },
  server: {
    proxy: Object.fromEntries(
      forwarded.map((path) => [path, { target: server, changeOrigin: true, headers: { origin: server } }]),
    ),
  },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.{ts,tsx}", "test/**/*.test.{ts,tsx}"],
    testTimeout: 60_000,
    setupFiles: ["test/setup.ts"],
    css: { modules: { classNameStrategy: "non-scoped" } },
  },
});
