/** docker-compose.yml for real: started by whatever compose is there, and held to the contract as an external stack. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CannotRun } from "../../cannot-run.ts";
import { stackContract } from "../contract.ts";
import { serviceClients } from "../contract-clients.ts";
import { openExternal } from "../external.ts";
import { freePort } from "../ports.ts";
import { serviceNames } from "../stack.ts";
import { findEngine } from "./engine.ts";
import { images } from "./images.ts";
import { removeContainer } from "./labels.ts";
import { seesProcesses, whyNotHere } from "./testing.ts";

const folder = fileURLToPath(new URL("../../..", import.meta.url));
const project = `sluice-test-${process.pid}`;

/** `docker compose` (v2), or the older program of its own. */
const compose = [["docker", "compose"], ["docker-compose"]].find(
  ([program = "", ...args]) => spawnSync(program, [...args, "version"]).status === 0,
);
const notHere = (await whyNotHere()) ?? (compose === undefined ? "no docker compose" : undefined);
const seen = notHere === undefined && (await seesProcesses());
if (compose === undefined) process.stderr.write("  docker-compose.yml not tested: no docker compose here\n");

const names = ["KAFKA", "KAFKA_WORKER", "KAFKA_PROXY", "POSTGRES", "REDIS"] as const;

describe.skipIf(notHere !== undefined)("docker-compose.yml", () => {
  const ports: Partial<Record<(typeof names)[number], number>> = {};
  const run = (...args: readonly string[]): void => {
    const [program = "", ...first] = compose ?? [];
    const env = Object.fromEntries(names.map((name) => [`SLUICE_${name}_PORT`, String(ports[name])]));
    const all = [...first, "--project-name", project, ...args];
    const { status, stderr } = spawnSync(program, all, { cwd: folder, env: { ...process.env, ...env } });
    if (status !== 0) throw new Error(`${program} ${all.join(" ")}: ${stderr}`);
  };
  const environment = () => ({
    // Of the engine.
    ...process.env,
    KAFKA_BROKERS: `127.0.0.1:${ports.KAFKA}`,
    KAFKA_WORKER_LISTENER: `127.0.0.1:${ports.KAFKA_WORKER}`,
    DATABASE_URL: `postgresql://postgres:sluice@127.0.0.1:${ports.POSTGRES}/postgres`,
    REDIS_URL: `redis://:sluice@127.0.0.1:${ports.REDIS}`,
  });
  const open = (changes: NodeJS.ProcessEnv = {}, onProgress = (_: string): void => {}) =>
    openExternal({
      env: { ...environment(), ...changes },
      why: "external stack: as asked",
      onProgress,
      timeoutMs: 60_000,
    });

  beforeAll(async () => {
    for (const name of names) ports[name] = await freePort();
    run("up", "-d");
  });
  afterAll(() => run("down", "--volumes"));

  it("lets the harness put its proxy before Kafka too, one run at a time", async () => {
    const first = await open();
    try {
      expect(first.cannot("stall", "kafka")).toBeUndefined();
      const refused = await open().catch((error: unknown) => error);
      if (!(refused instanceof CannotRun)) throw new Error("expected CannotRun");
      expect(refused.message).toMatch(/KAFKA_WORKER_LISTENER.*port is taken/);
      expect(refused.remedies.join()).toContain("end the other run");
    } finally {
      await first.stop();
    }
  });

  it("a listener that is no listener for workers is refused, and why", async () => {
    const env = { ...environment(), KAFKA_WORKER_LISTENER: `127.0.0.1:${ports.KAFKA}` };
    const refused = await openExternal({ env, why: "", onProgress: () => {} }).catch((it: unknown) => it);
    if (!(refused instanceof CannotRun)) throw new Error("expected CannotRun");
    // Kafka itself is where that listener sends its clients.
    expect(refused.message).toContain("port is taken");
  });

  it("says first that its services are ours, and that labs may restart them", async () => {
    const lines: string[] = [];
    const stack = await open({}, (line) => lines.push(line));
    await stack.stop();
    expect(lines[0]).toBe(stack.why);
    expect(stack.why).toContain("kafka, postgres, redis: containers of docker-compose.yml");
    for (const service of serviceNames) expect(stack.cannot("restart", service)).toBeUndefined();
  });

  it("what a run cut short has killed or paused is back when the stack has stopped, with its data", async () => {
    const stack = await open();
    const { write, read } = serviceClients(stack.direct);
    await write("redis", "cut short");
    await stack.kill("redis");
    await stack.pause("postgres");
    await stack.stop();
    expect(await read("redis", "cut short")).toBe(1);
    await write("postgres", "resumed");
  });

  it("a Redis of some other compose file is somebody else's, on whatever port", async () => {
    const { docker } = await findEngine();
    const port = await freePort();
    const other = await docker.createContainer({
      Image: images.redis,
      Labels: { "com.docker.compose.project": project, "com.docker.compose.service": "redis" },
      HostConfig: { PortBindings: { "6379/tcp": [{ HostIp: "127.0.0.1", HostPort: String(port) }] } },
    });
    try {
      await other.start();
      const stack = await open({ REDIS_URL: `redis://127.0.0.1:${port}` });
      expect(stack.cannot("kill", "redis")).toContain("somebody else runs");
      await expect(stack.kill("redis")).rejects.toThrow("somebody else runs");
      expect(stack.cannot("kill", "kafka")).toBeUndefined();
      expect(stack.processIds()).toEqual([]);
      await stack.stop();
      expect((await other.inspect()).State.Running).toBe(true);
    } finally {
      await removeContainer(docker, other.id);
    }
  });

  stackContract("external", open, () => seen);
});
