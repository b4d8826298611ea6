import { proveExercise, provePitfalls, provePitfallsInCalm } from "../../harness/testing.ts";
import lab from "./lab.ts";

provePitfalls(lab, [["timer-in-memory", "durable"]]);
provePitfallsInCalm(lab, [
  ["retry-forever", "attempts-bounded"],
  ["no-jitter", "no-herd"],
]);
proveExercise(lab);
