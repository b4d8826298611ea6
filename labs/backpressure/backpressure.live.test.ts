import { proveExerciseUnderLoad, provePitfallsUnderLoad, proveSolution } from "../../harness/testing.ts";
import lab from "./lab.ts";

proveSolution(lab);
provePitfallsUnderLoad(lab, [
  ["fixed-throttle", "rate-matches-capacity"],
  ["unbounded-buffer", "bounded-memory"],
]);
proveExerciseUnderLoad(lab);
