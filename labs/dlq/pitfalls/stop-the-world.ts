/**
 * Mistake: one message at a time, each tried until it succeeds or is given up, before the next is looked at.
 *
 * Why people make it: order is kept, nothing overtakes, and the loop with its `await` is the simplest there is.
 *
 * What it costs: each exhausted message stops everything for as long as its retries wait. One in a hundred is enough:
 * the healthy ones behind it are late by seconds, and more poison comes while the first is tried.
 *
 * Fails `no-head-of-line`.
 */
import { parts, work } from "../solution.ts";

await work({ ...parts, places: () => 1 });
