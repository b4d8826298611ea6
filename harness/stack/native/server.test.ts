import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { onFreePorts } from "../free-ports.ts";
import { freePort } from "../ports.ts";
import { type Condition, NotMet, until } from "../readiness.ts";
import { createRun, type Run } from "./run.ts";
import { type ServerSpec, startServer } from "./server.ts";

/** A small server, in a process of its own: answers its process id over HTTP. */
const program = `
  const port = Number(process.argv[1]);
  console.log("about to listen");
  require("node:http").createServer((_, answer) => answer.end(String(process.pid))).listen(port, "127.0.0.1");`;

let cache: string;
let run: Run;
let said: string[];
const say = (line: string): void => void said.push(line);
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "sluice-server-"));
  await mkdir(join(cache, "runs"));
  run = createRun(cache);
  said = [];
});
afterEach(async () => {
  await run.stop();
  await rm(cache, { recursive: true, force: true });
});

const answers = (port: number): Condition<string> => ({
  what: `an answer on port ${port}`,
  probe: async (withinMs) =>
    (await fetch(`http://127.0.0.1:${port}`, { signal: AbortSignal.timeout(withinMs) })).text(),
});
const spec = (port: number, script = program): ServerSpec => ({
  title: "Small server",
  label: "small",
  file: process.execPath,
  args: ["-e", script, String(port)],
  cwd: "/",
  env: process.env,
  ready: answers(port),
  startTimeoutMs: 10_000,
  politeEnd: { signal: "SIGTERM", graceMs: 2_000 },
});
const pidNow = (port: number): Promise<string> => until(answers(port), { timeoutMs: 500, everyMs: 500 });

describe("a server", () => {
  it("that ends instead of answering is reported at once, with how it ended and the end of its log", async () => {
    const port = await freePort();
    const failing = `console.log("reading settings"); console.error("no such setting: foo"); process.exitCode = 7;`;
    const error = await startServer(run, spec(port, failing), say).catch((caught: unknown) => caught);
    if (!(error instanceof NotMet)) throw new Error(`expected NotMet, got ${String(error)}`);
    expect(error.summary).toContain(`an answer on port ${port}: it ended by itself (exit code 7)`);
    expect(error.logTail).toEqual(["  | reading settings", "  | no such setting: foo"]);
  });

  it("is silent while paused, gone once killed, and back with a new process after a restart", async () => {
    const port = await freePort();
    const server = await startServer(run, spec(port), say);
    expect(server.processIds()).toEqual([Number(server.version)]);
    await server.pause();
    await expect(pidNow(port)).rejects.toThrow("an answer");
    await server.resume();
    expect(await pidNow(port)).toBe(server.version);
    await server.kill();
    expect(server.processIds()).toEqual([]);
    await expect(server.pause()).rejects.toThrow("Small server is not running");
    await server.restart();
    const second = await pidNow(port);
    expect(second).not.toBe(server.version);
    await server.pause();
    await server.restart();
    expect(await pidNow(port)).not.toBe(second);
    // All of these ends were asked for.
    expect(said).toEqual([]);
  });

  it("that ends by itself later is news, with the end of its log", async () => {
    const port = await freePort();
    const server = await startServer(run, spec(port), say);
    process.kill(Number(server.version), "SIGKILL");
    const told = {
      what: "the news",
      probe: async () => expect(said.join()).toContain("ended by itself (SIGKILL)"),
    };
    await until(told, { timeoutMs: 5_000 });
    expect(said.join()).toContain("about to listen");
  });

  it("whose port was taken in the meantime is started again on another", async () => {
    const taken = createServer();
    let first = true;
    const server = await onFreePorts(run, say, async ({ servicePort }) => {
      if (first) await new Promise<void>((resolve) => taken.listen(servicePort, "127.0.0.1", resolve));
      first = false;
      return { ...(await startServer(run, spec(servicePort), say)), servicePort };
    });
    expect(await pidNow(server.servicePort)).toBe(server.version);
    expect(await pidNow(server.link.port)).toBe(server.version);
    expect(said.join()).toContain("a port was taken");
    server.link.close();
    taken.close();
  });

  it("that fails for another reason is not started again", async () => {
    let starts = 0;
    const start = async () => {
      starts += 1;
      throw new Error("no such setting");
    };
    await expect(onFreePorts(run, say, start)).rejects.toThrow("no such setting");
    expect(starts).toBe(1);
  });
});
