import { useState } from "react";
import type { Answer } from "../../api/types.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import { Icon } from "../../ui/icons.tsx";

/** Copies the answer together with the list of what it cites. */
export function CopyAnswer({ result }: { result: Answer }) {
  const { t } = useI18n();
  const [copied, setCopied] = useState(false);
  const copy = () => {
    const sources = result.citations.map(
      ({ n, document, heading }) => `[${n}] ${document}${heading ? ` — ${heading}` : ""}`,
    );
    navigator.clipboard?.writeText([result.answer, "", ...sources].join("\n")).then(
      () => setCopied(true),
      () => setCopied(false),
    );
  };
  return (
    <>
      <Button emphasis="quiet" small onPress={copy}>
        <Icon name={copied ? "check" : "copy"} size={16} /> {copied ? t("ask.copied") : t("ask.copy")}
      </Button>
      <span role="status" className="visually-hidden">
        {copied ? t("ask.copied") : ""}
      </span>
    </>
  );
}
