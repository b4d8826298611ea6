/**
 * The solution with a circuit breaker before the gateway: when most calls of the last second failed, none is made for a
 * while, and what was to be tried is put off without using an attempt. A brown-out then costs an event its first
 * attempts, and not all of them.
 */
import { openBreakers } from "../../../toolkit/breaker/breakers.ts";
import { parts, work } from "../solution.ts";

const breakers = openBreakers({
  windowMs: 1_000,
  minCalls: 20,
  // Above what fails when nothing is wrong.
  failureShare: 0.8,
  openMs: 300,
  trials: 5,
});

await work({
  ...parts,
  guard: (pay) => (payment) => breakers.through("payments", () => pay(payment)),
});
