/** Pulls for real, by a real engine: progress, interruption, refusal, silence. */
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CannotRun, Interrupted } from "../../cannot-run.ts";
import { freePort } from "../ports.ts";
import { type Engine, findEngine } from "./engine.ts";
import { pullImages, whyNotPullable } from "./pull.ts";
import { whyNotHere } from "./testing.ts";
import { slowRegistry } from "./testing-registry.ts";

const notHere = await whyNotHere();

describe.skipIf(notHere !== undefined)("an image", () => {
  let engine: Engine;
  let registry: Awaited<ReturnType<typeof slowRegistry>>;
  const never = new AbortController().signal;
  const isThere = (image: string): Promise<boolean> =>
    engine.docker
      .getImage(image)
      .inspect()
      .then(
        () => true,
        () => false,
      );

  beforeAll(async () => {
    engine = await findEngine();
    registry = await slowRegistry(2_000);
  });
  afterAll(async () => {
    registry?.close();
    await engine?.docker
      .getImage(registry.image)
      .remove()
      .catch(() => {});
  });

  it("that is being pulled is not there after Ctrl-C", async () => {
    const ended = new AbortController();
    setTimeout(() => ended.abort(), 600);
    await expect(pullImages(engine, [registry.image], () => {}, ended.signal)).rejects.toBeInstanceOf(
      Interrupted,
    );
    expect(await isThere(registry.image)).toBe(false);
  });

  it("is pulled with its progress shown in megabytes", async () => {
    const lines: string[] = [];
    expect(await whyNotPullable(engine, [registry.image])).toBeUndefined();
    await pullImages(engine, [registry.image], (line) => lines.push(line), never, 300);
    expect(await isThere(registry.image)).toBe(true);
    expect(lines[0]).toBe(`pulling ${registry.image}`);
    const megabytes = lines.slice(1).map((line) => Number(/: (\d+) of 4 MB$/.exec(line)?.[1]));
    expect(megabytes.length).toBeGreaterThan(1);
    expect(megabytes).toEqual([...megabytes].sort((a, b) => a - b));
  });

  it("of a registry that refuses is said to be refused, with the reason and the remedy", async () => {
    const image = `127.0.0.1:${await freePort()}/sluice/none:1`;
    expect(await whyNotPullable(engine, [image])).toContain("connection refused");
    const error = await pullImages(engine, [image], () => {}, never).catch((it: unknown) => it);
    if (!(error instanceof CannotRun)) throw new Error(`expected CannotRun, got ${String(error)}`);
    expect(error.message).toContain(`cannot pull ${image}`);
    expect(error.remedies.join()).toContain(`docker pull ${image}`);
  });

  it("of a registry that keeps silent is given up in time", async () => {
    const silent = createServer((socket) => socket.on("error", () => {}));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as { port: number };
    const startedAt = performance.now();
    expect(await whyNotPullable(engine, [`127.0.0.1:${port}/sluice/none:1`], 500)).toContain("within 0.5 s");
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    silent.close();
  });
});
