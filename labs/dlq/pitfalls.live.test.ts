import { provePitfalls } from "../../harness/testing.ts";
import lab from "./lab.ts";

provePitfalls(lab, [
  ["swallow", "lossless"],
  ["stop-the-world", "no-head-of-line"],
  ["reserialise", "forensics"],
  ["replay-without-key", "replay-once"],
  ["silent-purge", "purge-audited"],
]);
