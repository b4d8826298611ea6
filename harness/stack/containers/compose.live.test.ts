/** docker-compose.yml for real: started by whatever compose is there, and held to the contract as an external stack. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CannotRun } from "../../cannot-run.ts";
import { stackContract } from "../contract.ts";
import { openExternal } from "../external.ts";
import { freePort } from "../ports.ts";
import { whyNotHere } from "./testing.ts";

const folder = fileURLToPath(new URL("../../..", import.meta.url));
const project = `sluice-test-${process.pid}`;

/** `docker compose` (v2), or the older program of its own. */
const compose = [["docker", "compose"], ["docker-compose"]].find(
  ([program = "", ...args]) => spawnSync(program, [...args, "version"]).status === 0,
);
const notHere = (await whyNotHere()) ?? (compose === undefined ? "no docker compose" : undefined);
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
    KAFKA_BROKERS: `127.0.0.1:${ports.KAFKA}`,
    KAFKA_WORKER_LISTENER: `127.0.0.1:${ports.KAFKA_WORKER}`,
    DATABASE_URL: `postgresql://postgres:sluice@127.0.0.1:${ports.POSTGRES}/postgres`,
    REDIS_URL: `redis://:sluice@127.0.0.1:${ports.REDIS}`,
  });
  const open = () =>
    openExternal({
      env: environment(),
      why: "external stack: as asked",
      onProgress: () => {},
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

  stackContract("external", open);
});
