import "./ui/tokens.css";
import "./ui/base.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app/app.tsx";
import { initialLanguage, loadCatalogue } from "./lib/i18n/index.ts";
import { applyTheme } from "./lib/theme.ts";

applyTheme();

const language = initialLanguage();
const catalogue = await loadCatalogue(language);
const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App language={language} catalogue={catalogue} />
    </StrictMode>,
  );
}
