import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

/** Vitest leaves one core idle, which of two is half. Each lane has a stack of its own, of 0.6 GB: no more than four. */
const lanes = Math.min(4, Math.max(2, availableParallelism()));

/** On real servers. Files share a process, and so its stack; see `sharedStack`. */
const onServers = { testTimeout: 120_000, hookTimeout: 180_000, isolate: false };

export default defineConfig({
  test: {
    // Projects come one after the other: what is measured must not share two cores with anything.
    projects: [
      {
        test: {
          name: "unit",
          include: ["{toolkit,harness,labs,bench}/**/*.test.ts"],
          exclude: ["**/*.live.test.ts", "**/node_modules/**"],
          testTimeout: 20_000,
          // Nothing here keeps state in a module: loading each file's imports anew would double the time.
          isolate: false,
          maxWorkers: lanes,
          sequence: { groupOrder: 0 },
        },
      },
      {
        // Several files at a time; nothing here depends on how fast they are.
        test: {
          name: "live",
          include: ["{toolkit,harness}/**/*.live.test.ts", "labs/*/{solution,pitfalls}.live.test.ts"],
          exclude: ["harness/stack/leftovers.live.test.ts", "**/node_modules/**"],
          ...onServers,
          maxWorkers: lanes,
          sequence: { groupOrder: 1 },
        },
      },
      {
        // What is judged by time, each alone on the machine; and what a killed harness leaves, which any other that
        // starts meanwhile would remove.
        test: {
          name: "labs",
          include: ["labs/**/*.live.test.ts", "harness/stack/leftovers.live.test.ts"],
          exclude: ["labs/*/{solution,pitfalls}.live.test.ts", "**/node_modules/**"],
          ...onServers,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
