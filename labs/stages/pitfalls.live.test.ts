import { provePitfalls } from "../../harness/testing.ts";
import lab from "./lab.ts";

provePitfalls(lab, [
  ["ask-for-all", "demand-bounded"],
  ["round-robin", "slow-holds-up-nobody"],
  ["first-come", "order-per-partition"],
]);
