/**
 * Seeded randomness. Every random choice of a run is a function of the run's seed and a name or an
 * index, so that it does not depend on the order in which things happen.
 */

/** Uniform in [0, 1). */
export type Random = () => number;

/** mulberry32, started from a seed mixed with an index: independent streams for neighbouring indexes. */
export function randomFor(seed: number, index: number): Random {
  let state = mix(mix(seed >>> 0) ^ Math.imul(index + 1, 0x9e3779b9));
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Murmur3's finaliser: every input bit changes half of the output bits. */
function mix(value: number): number {
  let h = value >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** An integer in [low, high]. */
export function integer(random: Random, low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1));
}
