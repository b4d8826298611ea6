/** What the native stack makes of the machine it finds: cache folder, platform, Java. */
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CannotRun } from "../../cannot-run.ts";
import { cacheFolder, requireSpace } from "./cache.ts";
import { javaVersion } from "./java.ts";
import { platformFor } from "./platform.ts";
import { tail } from "./tools.ts";

describe("the cache folder", () => {
  it("is SLUICE_CACHE where that is set", () => {
    expect(cacheFolder({ SLUICE_CACHE: "/data/sluice", HOME: "/home/me" }, true)).toBe("/data/sluice");
  });

  it.runIf(process.platform === "linux")("is the user's own by the platform's convention", () => {
    expect(cacheFolder({ HOME: "/home/me" }, false)).toBe("/home/me/.cache/sluice");
    expect(cacheFolder({ HOME: "/home/me", XDG_CACHE_HOME: "/fast" }, false)).toBe("/fast/sluice");
    expect(cacheFolder({ HOME: "/home/me", XDG_CACHE_HOME: "relative" }, false)).toBe(
      "/home/me/.cache/sluice",
    );
  });

  it.runIf(process.platform === "linux")(
    "is the system's for a root whose home is closed to PostgreSQL's user",
    async () => {
      const home = await mkdtemp(join(tmpdir(), "sluice-home-"));
      await mkdir(join(home, ".cache"));
      await chmod(home, 0o700);
      expect(cacheFolder({ HOME: home }, true)).toBe("/var/cache/sluice");
      await chmod(home, 0o755);
      expect(cacheFolder({ HOME: home }, true)).toBe(join(home, ".cache", "sluice"));
      await rm(home, { recursive: true });
    },
  );

  it("needs room, and says how much", async () => {
    await requireSpace(tmpdir(), 1, "a run");
    await expect(requireSpace(tmpdir(), 1e12, "a run")).rejects.toThrow(
      /the disk is full: a run needs 1000000000000 MB/,
    );
  });
});

describe("the platform", () => {
  it.each([
    ["linux", "x64", false, "linux-amd64"],
    ["linux", "arm64", false, "linux-arm64v8"],
    ["linux", "arm64", true, "linux-arm64v8-alpine"],
    ["darwin", "arm64", false, "darwin-arm64v8"],
  ])("%s %s (musl: %s) has PostgreSQL %s", (os, arch, musl, artifact) => {
    expect(platformFor(os, arch, musl).postgresArtifact).toBe(artifact);
  });

  it("without PostgreSQL is refused, with the ways that are left", () => {
    expect(() => platformFor("win32", "x64", false)).toThrow(CannotRun);
    expect(() => platformFor("win32", "x64", false)).toThrow(/win32-x64/);
  });
});

it.each([
  ['openjdk version "17.0.15" 2025-04-15', 17],
  ['java version "1.8.0_402"', 8],
  ['openjdk version "25" 2025-09-16', 25],
  ["something else", undefined],
])("reads Java's version from %s", (output, version) => {
  expect(javaVersion(output)).toBe(version);
});

it("shows the last lines of an output that say something, without colours", () => {
  expect(tail(["first", "", "\u001b[31mred\u001b[0m", "[ERROR] ", "last"], 2)).toEqual([
    "  | red",
    "  | last",
  ]);
});
