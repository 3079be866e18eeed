import type { DropItem, FileDropItem } from "react-aria-components";
import type { NamedFile } from "../../api/documents.ts";

/** The files of a drop, folders walked through; files of a folder are named by their path in it. */
export async function filesOfDrop(items: readonly DropItem[]): Promise<NamedFile[]> {
  const files: NamedFile[] = [];
  const add = async (item: FileDropItem, path: string) => {
    // Hidden files of an operating system or a version control are not documents.
    if (!item.name.startsWith(".")) files.push({ name: path + item.name, file: await item.getFile() });
  };
  const walk = async (item: DropItem, path: string): Promise<void> => {
    if (item.kind === "file") await add(item, path);
    else if (item.kind === "directory" && !item.name.startsWith(".")) {
      for await (const entry of item.getEntries()) await walk(entry, `${path}${item.name}/`);
    }
  };
  for (const item of items) await walk(item, "");
  return files;
}

/** The files of a file dialog. */
export function filesOfList(list: FileList | null): NamedFile[] {
  return Array.from(list ?? [], (file) => ({ name: file.webkitRelativePath || file.name, file }));
}
