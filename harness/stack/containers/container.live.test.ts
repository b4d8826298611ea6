/** What goes wrong with one container, for real: the error names it, and nothing of the container is left. */
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { CannotRun } from "../../cannot-run.ts";
import { freePort } from "../ports.ts";
import { startContainer } from "./container.ts";
import { findEngine } from "./engine.ts";
import { explained } from "./errors.ts";
import { labelsOf, ofRun, thisOwner } from "./labels.ts";
import { type ServiceSpec, serviceSpec } from "./services.ts";
import { whyNotHere } from "./testing.ts";

const notHere = await whyNotHere();

/** How a Redis that differs in this from the right one fails to start. */
async function failure(port: number, changes: Partial<ServiceSpec>): Promise<CannotRun> {
  const engine = await findEngine();
  const access = { servicePort: port, directPort: port, proxyPort: await freePort(), password: "p" };
  const owner = thisOwner();
  const site = { engine, onProgress: () => {}, stopping: () => false };
  const spec = { ...serviceSpec("redis", access, engine.host, false), ...changes };
  const error = await startContainer(site, spec, labelsOf(owner, "redis", access)).catch(explained);
  expect(await ofRun(engine.docker, owner.run)).toEqual([]);
  if (!(error instanceof CannotRun)) throw new Error(`expected CannotRun, got ${String(error)}`);
  return error;
}

describe.skipIf(notHere !== undefined)("a container that does not start", () => {
  it("because its port is taken: the port, and how to see who has it", async () => {
    const holder = createServer();
    const port = await freePort();
    await new Promise<void>((resolve) => holder.listen(port, "127.0.0.1", resolve));
    try {
      const { message, remedies } = await failure(port, {});
      expect(message).toContain(`127.0.0.1:${port}`);
      expect(message).toMatch(/in use|allocated/);
      expect(remedies.join()).toContain("ss -ltnp");
    } finally {
      holder.close();
    }
  });

  it("because its server ends at once: how it ended and the end of its log, without waiting for its ports", async () => {
    const startedAt = performance.now();
    const { message, remedies } = await failure(await freePort(), {
      command: ["redis-server", "--no-such-setting", "1"],
    });
    expect(message).toContain("it ended by itself (exit code 1)");
    expect(remedies.join("\n")).toContain("no-such-setting");
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });
});
