/**
 * A small harness for tests of its end: opens a stack, prints its processes and addresses as one line of JSON, and
 * waits. Arguments: the kind; then `throw` to throw where nobody catches it once the stack is up, or `keep` to keep it.
 */
import { openStack } from "./choose.ts";
import { stopAllOnExit } from "./shutdown.ts";
import type { StackKind } from "./stack.ts";

const [kind = "native", then] = process.argv.slice(2);

stopAllOnExit();
process.stdout.write("starting\n");
const stack = await openStack({
  kind: kind as StackKind,
  keep: then === "keep",
  onProgress: (line) => process.stderr.write(`${line}\n`),
});
const { direct, worker } = stack;
process.stdout.write(`${JSON.stringify({ pids: stack.processIds(), direct, worker })}\n`);
if (then === "throw") {
  setImmediate(() => {
    throw new Error("nobody catches this");
  });
}
// The proxies' listening sockets keep the process alive.
