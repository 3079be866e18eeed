import { type CSSProperties, createElement, type ReactNode } from "react";
import type { Block, Span } from "../lib/markup.ts";
import css from "./prose.module.css";

/** Draws one inline span as an element; the text itself is drawn by `children`. */
export function spanElement(span: Span, key: string, children: ReactNode): ReactNode {
  if (span.style === "strong") return <strong key={key}>{children}</strong>;
  if (span.style === "emphasis") return <em key={key}>{children}</em>;
  if (span.style === "code") return <code key={key}>{children}</code>;
  return <span key={key}>{children}</span>;
}

/**
 * Draws blocks of text as elements, never as HTML. `top` is the level that a first-rank heading gets on this
 * page; `render` draws words of a block.
 */
export function Prose({
  blocks,
  top,
  render,
  className,
  anchor,
}: {
  blocks: readonly Block[];
  top: number;
  render: (spans: readonly Span[], block: Block) => ReactNode;
  className?: string;
  /** Gives the element id of a heading, so that an outline can lead to it. */
  anchor?: (block: Block) => string | undefined;
}) {
  return (
    <div className={`${css.prose} ${className ?? ""}`}>
      {blocks.map((block) => {
        const key = `${block.kind}${block.start}`;
        switch (block.kind) {
          case "heading":
            return createElement(
              `h${Math.min(block.level - 1 + top, 6)}`,
              {
                key,
                id: anchor?.(block),
                tabIndex: anchor ? -1 : undefined,
                className: css[`h${block.level}`] ?? css.h4,
              },
              render(block.spans, block),
            );
          case "pre":
            return (
              // A wide block scrolls, so the keyboard must be able to reach it.
              // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region needs to take focus
              <pre key={key} tabIndex={0}>
                {render(block.spans, block)}
              </pre>
            );
          case "table":
            return (
              // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region needs to take focus
              <div key={key} className={css.table} tabIndex={0}>
                <table>
                  <tbody>
                    {block.rows.map((row, index) => (
                      <tr key={`${row[0]?.start}`}>
                        {row.map((cell) =>
                          index === 0 ? (
                            <th key={`${cell.start}`} scope="col">
                              {render([cell], block)}
                            </th>
                          ) : (
                            <td key={`${cell.start}`}>{render([cell], block)}</td>
                          ),
                        )}
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            );
          case "quote":
            return <blockquote key={key}>{render(block.spans, block)}</blockquote>;
          case "rule":
            return <hr key={key} />;
          case "item":
            return (
              <p key={key} className={css.item} style={{ "--depth": block.depth } as CSSProperties}>
                <span className={css.marker}>{block.marker}</span>
                <span>{render(block.spans, block)}</span>
              </p>
            );
          default:
            return <p key={key}>{render(block.spans, block)}</p>;
        }
      })}
    </div>
  );
}
