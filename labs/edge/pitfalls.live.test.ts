import { proveExercise, provePitfalls } from "../../harness/testing.ts";
import lab from "./lab.ts";

provePitfalls(lab, [
  ["accept-then-store", "lossless"],
  ["hang-up", "drains"],
]);
proveExercise(lab);
