import { provePitfallsUnderLoad, proveSolution } from "../../harness/testing.ts";
import lab from "./lab.ts";

proveSolution(lab);
provePitfallsUnderLoad(lab, [
  ["make-it-wait", "answers-in-time"],
  ["unbounded-buffer", "bounded-memory"],
]);
