import { proveExercise, provePitfalls } from "../../harness/testing.ts";
import lab from "./lab.ts";

provePitfalls(lab, [
  ["ask-for-all", "demand-bounded"],
  ["first-come", "order-per-partition"],
]);
proveExercise(lab);
