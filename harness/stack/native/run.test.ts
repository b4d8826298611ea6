import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Interrupted } from "../../cannot-run.ts";
import { identify, isAlive, type ProcessIdentity, processSpace } from "./identity.ts";
import { createRun, sweepLeftovers } from "./run.ts";

let cache: string;
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "sluice-run-"));
  mkdirSync(join(cache, "runs"));
});
afterEach(() => rm(cache, { recursive: true, force: true }));

const idleArgs = ["-e", "setInterval(() => {}, 1e6)"];
const options = () => ({
  cwd: "/",
  env: process.env,
  stdio: ["ignore", "pipe", "pipe"] as ["ignore", "pipe", "pipe"],
});

describe("a run", () => {
  it("ends what it started and removes its folder when it is stopped, also twice", async () => {
    const run = createRun(cache);
    const { identity, ended } = await run.spawn("idle", process.execPath, idleArgs, options());
    expect(isAlive(identity)).toBe(true);
    await Promise.all([run.stop(), run.stop()]);
    expect(isAlive(identity)).toBe(false);
    expect(await ended).toBe("SIGKILL");
    expect(readdirSync(join(cache, "runs"))).toEqual([]);
  });

  it("does the same at once and synchronously", async () => {
    const run = createRun(cache);
    const { ended } = await run.spawn("idle", process.execPath, idleArgs, options());
    run.stopNow();
    expect(existsSync(run.folder)).toBe(false);
    expect(await ended).toBe("SIGKILL");
  });

  it("starts nothing more once it is being stopped", async () => {
    const run = createRun(cache);
    await run.stop();
    await expect(run.spawn("idle", process.execPath, idleArgs, options())).rejects.toBeInstanceOf(
      Interrupted,
    );
  });

  it("keeps a record of a process exactly as long as it lives", async () => {
    const run = createRun(cache);
    const records = () => readdirSync(join(run.folder, "processes"));
    const { child, identity, ended } = await run.spawn("idle", process.execPath, idleArgs, options());
    expect(records()).toEqual([`${identity.pid}.${identity.startedAt}.idle`]);
    child.kill("SIGKILL");
    await ended;
    expect(records()).toEqual([]);
    await run.stop();
  });

  it("names a program that cannot be started", async () => {
    const run = createRun(cache);
    await expect(run.spawn("ghost", join(cache, "ghost"), [], options())).rejects.toThrow(
      /cannot start ghost.*ENOENT/,
    );
    await run.stop();
  });

  it("claims ports that no other living run has claimed", async () => {
    const runs = [createRun(cache), createRun(cache)];
    const claims = await Promise.all(
      runs.flatMap((run) => Array.from({ length: 40 }, () => run.claimPort())),
    );
    expect(new Set(claims).size).toBe(80);
    await Promise.all(runs.map((run) => run.stop()));
  });
});

describe("sweeping up", () => {
  const { boot, namespace } = processSpace();
  const started: ProcessIdentity[] = [];
  afterEach(() => {
    for (const { pid } of started.splice(0).filter(isAlive)) process.kill(pid, "SIGKILL");
  });

  function idle(): ProcessIdentity {
    const child = spawn(process.execPath, idleArgs, { stdio: "ignore", detached: true });
    const identity = identify(child.pid ?? 0);
    if (identity === undefined) throw new Error("it lives");
    started.push(identity);
    return identity;
  }

  async function dead(): Promise<ProcessIdentity> {
    const identity = idle();
    process.kill(identity.pid, "SIGKILL");
    while (isAlive(identity)) await new Promise(setImmediate);
    return identity;
  }

  function leave(
    owner: ProcessIdentity,
    processes: readonly ProcessIdentity[],
    where = { boot, namespace },
  ): string {
    const name = [where.boot, where.namespace, owner.pid, owner.startedAt, "00"].join(".");
    const folder = join(cache, "runs", name);
    mkdirSync(join(folder, "processes"), { recursive: true });
    for (const { pid, startedAt } of processes)
      writeFileSync(join(folder, "processes", `${pid}.${startedAt}.idle`), "");
    return folder;
  }

  it("ends the processes and removes the folder of a harness that is dead, and says so", async () => {
    const left = idle();
    const folder = leave(await dead(), [left]);
    const said: string[] = [];
    await sweepLeftovers(cache, (line) => said.push(line));
    expect(isAlive(left)).toBe(false);
    expect(existsSync(folder)).toBe(false);
    expect(said).toHaveLength(1);
  });

  it("does not touch a living harness's run", async () => {
    const own = createRun(cache);
    const { identity } = await own.spawn("idle", process.execPath, idleArgs, options());
    await sweepLeftovers(cache, () => {});
    expect(isAlive(identity)).toBe(true);
    await own.stop();
  });

  it("does not touch a process that has a recorded one's id and started at another time", async () => {
    const bystander = idle();
    const folder = leave(await dead(), [{ ...bystander, startedAt: "1" }]);
    await sweepLeftovers(cache, () => {});
    expect(isAlive(bystander)).toBe(true);
    expect(existsSync(folder)).toBe(false);
  });

  it("removes the folder of another boot, and no process that looks like its", async () => {
    const bystander = idle();
    const folder = leave(bystander, [bystander], { boot: "another", namespace });
    await sweepLeftovers(cache, () => {});
    expect(isAlive(bystander)).toBe(true);
    expect(existsSync(folder)).toBe(false);
  });

  it("leaves alone what another container on the same cache runs", async () => {
    const folder = leave(await dead(), [], { boot, namespace: "1" });
    await sweepLeftovers(cache, () => {});
    expect(existsSync(folder)).toBe(true);
  });

  it("ends a process that was stopped, too", async () => {
    const left = idle();
    process.kill(left.pid, "SIGSTOP");
    leave(await dead(), [left]);
    await sweepLeftovers(cache, () => {});
    expect(isAlive(left)).toBe(false);
  });
});
