import { proveExercise, provePitfalls } from "../../harness/testing.ts";
import lab from "./lab.ts";

provePitfalls(lab, [
  ["swallow", "lossless"],
  ["reserialise", "forensics"],
  ["replay-without-key", "replay-once"],
  ["silent-purge", "purge-audited"],
]);
proveExercise(lab);
