import { createElement, type ReactNode } from "react";
import type { Block, Span } from "../lib/markup.ts";
import css from "./prose.module.css";

/** Draws one inline span as an element; the text itself is drawn by `children`. */
export function spanElement(span: Span, key: string, children: ReactNode): ReactNode {
  if (span.style === "strong") return <strong key={key}>{children}</strong>;
  if (span.style === "emphasis") return <em key={key}>{children}</em>;
  if (span.style === "code") return <code key={key}>{children}</code>;
  return <span key={key}>{children}</span>;
}

type Item = Extract<Block, { kind: "item" }>;
type Render = (spans: readonly Span[], block: Block) => ReactNode;

/** Items that follow each other, as one list; deeper ones as a list inside of the item above them. */
function List({ items, render }: { items: readonly Item[]; render: Render }) {
  const depth = Math.min(...items.map((item) => item.depth));
  const own: { item: Item; below: Item[] }[] = [];
  for (const item of items) {
    const last = own.at(-1);
    if (last && item.depth > depth) last.below.push(item);
    else own.push({ item, below: [] });
  }
  return createElement(
    items[0]?.marker === "•" ? "ul" : "ol",
    { className: css.list },
    own.map(({ item, below }) => (
      <li key={item.start} className={css.item}>
        <span className={css.marker} aria-hidden={item.marker === "•"}>
          {item.marker}
        </span>
        <div>
          {render(item.spans, item)}
          {below.length > 0 && <List items={below} render={render} />}
        </div>
      </li>
    )),
  );
}

/** Blocks, with items that follow each other taken together. */
function grouped(blocks: readonly Block[]): (Exclude<Block, Item> | Item[])[] {
  const groups: (Exclude<Block, Item> | Item[])[] = [];
  for (const block of blocks) {
    const last = groups.at(-1);
    if (block.kind !== "item") groups.push(block);
    else if (Array.isArray(last)) last.push(block);
    else groups.push([block]);
  }
  return groups;
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
  render: Render;
  className?: string;
  /** Gives the element id of a heading, so that an outline can lead to it. */
  anchor?: (block: Block) => string | undefined;
}) {
  return (
    <div className={`${css.prose} ${className ?? ""}`}>
      {grouped(blocks).map((block) => {
        if (Array.isArray(block)) return <List key={`item${block[0]?.start}`} items={block} render={render} />;
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
                      <tr key={`${index === 0 ? "head" : ""}${row[0]?.start}`}>
                        {row.map((cell) =>
                          index === 0 && cell.text !== "" ? (
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
          default:
            return <p key={key}>{render(block.spans, block)}</p>;
        }
      })}
    </div>
  );
}
