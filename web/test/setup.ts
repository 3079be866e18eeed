import { cleanup, configure } from "@testing-library/react";
import { afterEach, vi } from "vitest";

// A busy machine is no reason to fail: a wait ends when the element is there, or far beyond any real delay.
configure({ asyncUtilTimeout: 20_000 });

// happy-dom knows neither of these, and a page that scrolls is not what these tests are about.
Element.prototype.scrollIntoView = () => undefined;
window.scrollTo = () => undefined;

afterEach(() => {
  cleanup();
  localStorage.clear();
  vi.unstubAllGlobals();
});
