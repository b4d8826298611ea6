import { provePitfalls } from "../../harness/testing.ts";
import lab from "./lab.ts";

provePitfalls(lab, [
  ["accept-then-store", "lossless"],
  ["make-it-wait", "answers-in-time"],
  ["unbounded-buffer", "bounded-memory"],
  ["hang-up", "drains"],
]);
