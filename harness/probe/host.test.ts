import { expect, test } from "vitest";
import { watchHost } from "./host.ts";
import type { ProcessUsage } from "./processes.ts";

const usage = (pid: number, cpuMs: number, startedAt = 1): ProcessUsage => ({
  pid,
  startedAt,
  cpuMs,
  parentId: 1,
  groupId: pid,
  rssBytes: 0,
});
const ours = new Set([10, 11]);

/** A machine of two CPUs over ten seconds, of which it says it was busy for `busyMs`. */
function watch(
  busyMs: number,
  first: readonly ProcessUsage[],
  last: readonly ProcessUsage[],
  oursAtLast = ours,
) {
  const account = [
    { busyMs: 0, totalMs: 0 },
    { busyMs, totalMs: 20_000 },
  ];
  const host = watchHost(() => account.shift());
  host.sample(first, ours);
  return host.end(last, oursAtLast).foreignCpuShare;
}

test("what the machine did and this run did not is the share of others, also of programs that nobody saw", () => {
  expect(watch(8_000, [usage(10, 500)], [usage(10, 3_500)])).toBe(0.25);
});

test("what a process had used before the watch does not hide what others use, though it turns out to be ours late", () => {
  const first = [usage(10, 500), usage(77, 60_000)];
  const last = [usage(10, 3_500), usage(77, 61_000)];
  expect(watch(8_000, first, last, new Set([10, 77]))).toBe(0.2);
});

test("an id that was given again is another process", () => {
  const share = watch(8_000, [usage(11, 100), usage(90, 0)], [usage(11, 4_100, 5), usage(90, 4_000)]);
  // 11 started later under an id of ours: it counts as ours, from zero, and 90 is a stranger.
  expect(share).toBe(0.2);
});

test("others that were seen at work count though the machine's account misses them", () => {
  expect(watch(2_000, [usage(10, 0), usage(50, 1_000)], [usage(10, 3_000), usage(50, 7_000)])).toBe(0.3);
});

test("a machine that keeps no account cannot be judged", () => {
  const host = watchHost(() => undefined);
  host.sample([usage(10, 0)], ours);
  expect(host.end([usage(10, 100)], ours).foreignCpuShare).toBeNull();
});
