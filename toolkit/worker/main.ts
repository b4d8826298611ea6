import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * True when the module is the program that Node was started with, and not imported by another.
 * @param moduleUrl the module's `import.meta.url`
 */
export function isMainProgram(moduleUrl: string): boolean {
  const program = process.argv[1];
  return program !== undefined && realpathSync(program) === realpathSync(fileURLToPath(moduleUrl));
}
