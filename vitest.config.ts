import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["{toolkit,harness,labs,bench}/**/*.test.ts"],
          exclude: ["**/*.live.test.ts", "**/node_modules/**"],
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "live",
          include: ["{toolkit,harness,labs,bench}/**/*.live.test.ts"],
          // One stack and two cores: measurements of two files at once would disturb each other.
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 180_000,
          // After the unit tests, not beside them.
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
