import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { descendants, identify, isAlive } from "./identity.ts";

const idle = () => spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"], { stdio: "ignore" });

describe("a process identity", () => {
  it("holds as long as the process lives, and not for another one with the same id", async () => {
    const child = idle();
    const identity = identify(child.pid ?? 0);
    if (identity === undefined) throw new Error("a living process has an identity");
    expect(isAlive(identity)).toBe(true);
    expect(isAlive({ ...identity, startedAt: `${Number(identity.startedAt) - 1}` })).toBe(false);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(isAlive(identity)).toBe(false);
    expect(identify(identity.pid)).toBeUndefined();
  });

  it("consists of digits, so that it can be part of a file's name", () => {
    expect(identify(process.pid)?.startedAt).toMatch(/^\d+$/);
  });
});

it("descendants are children and their children, and nobody else", async () => {
  const script = `
    const { spawn } = require("node:child_process");
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"]);
    console.log(child.pid);`;
  const parent = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(parent.stdout, "data")) as [Buffer];
  const grandchild = Number(line.toString());
  expect(descendants(parent.pid ?? 0)).toEqual([grandchild]);
  expect(descendants(process.pid)).toEqual(expect.arrayContaining([parent.pid, grandchild]));
  process.kill(grandchild, "SIGKILL");
  parent.kill("SIGKILL");
  await once(parent, "exit");
});
