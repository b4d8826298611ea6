import { proveExercise, provePitfalls, provePitfallsInCalm } from "../../harness/testing.ts";
import lab from "./lab.ts";

provePitfalls(lab, [
  ["plain-insert", "one-row-per-event"],
  ["commit-first", "commit-behind-write"],
  ["drop-on-error", "lossless"],
]);
provePitfallsInCalm(lab, [
  ["crash-on-poison", "poison-contained"],
  ["string-amounts", "payload-intact"],
]);
proveExercise(lab);
