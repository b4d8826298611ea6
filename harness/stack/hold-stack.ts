/**
 * A small harness for tests of its end: opens the native stack, prints its processes and addresses as one line
 * of JSON, and waits. `throw` as argument: throws where nobody catches it, once the stack is up.
 */
import { openStack } from "./choose.ts";
import { stopAllOnExit } from "./shutdown.ts";

stopAllOnExit();
process.stdout.write("starting\n");
const stack = await openStack({
  kind: "native",
  onProgress: (line) => process.stderr.write(`${line}\n`),
});
const { direct, worker } = stack;
process.stdout.write(`${JSON.stringify({ pids: stack.processIds(), direct, worker })}\n`);
if (process.argv[2] === "throw") {
  setImmediate(() => {
    throw new Error("nobody catches this");
  });
}
// The proxies' listening sockets keep the process alive.
