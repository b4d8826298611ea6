import { proveExercise, provePitfalls, provePitfallsInCalm } from "../../harness/testing.ts";
import lab from "./lab.ts";

provePitfalls(lab, [
  ["remember-in-memory", "crash-safe"],
  ["key-in-own-transaction", "crash-safe"],
]);
provePitfallsInCalm(lab, [
  ["check-then-act", "race-safe"],
  ["key-in-redis", "replay-harmless"],
  ["key-by-offset", "one-effect-per-key"],
  ["update-outside-transaction", "budget-respected"],
]);
proveExercise(lab);
