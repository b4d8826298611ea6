import { proveExercise, provePitfalls } from "../../harness/testing.ts";
import lab from "./lab.ts";

provePitfalls(lab, [
  ["retry-at-once", "cadence"],
  ["timer-in-memory", "durable"],
  ["retry-forever", "attempts-bounded"],
  ["linear", "exponential"],
  ["no-jitter", "no-herd"],
]);
proveExercise(lab);
