import { provePitfalls } from "../../harness/testing.ts";
import lab from "./lab.ts";

provePitfalls(lab, [
  ["plain-insert", "one-row-per-event"],
  ["commit-first", "commit-behind-write"],
  ["drop-on-error", "lossless"],
  ["crash-on-poison", "poison-contained"],
  ["row-at-a-time", "keeps-up"],
  ["string-amounts", "payload-intact"],
]);
