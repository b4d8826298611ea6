/** Writing a file whole or not at all. */
import { rename, rm, writeFile } from "node:fs/promises";

/** Writes under a temporary name beside the file and renames: a reader sees the old file or the new one. */
export async function replaceFile(path: string, content: string | Buffer): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, content);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
}
