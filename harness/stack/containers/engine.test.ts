import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { CannotRun } from "../../cannot-run.ts";
import { freePort } from "../ports.ts";
import { findEngine } from "./engine.ts";

const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

const refusal = async (dockerHost: string): Promise<CannotRun> => {
  const error = await findEngine({ DOCKER_HOST: dockerHost }).catch((it: unknown) => it);
  if (!(error instanceof CannotRun)) throw new Error(`expected CannotRun, got ${String(error)}`);
  expect(error.message).toContain(`DOCKER_HOST=${dockerHost}`);
  expect(error.remedies.join()).toMatch(/DOCKER_HOST[\s\S]*--stack native/);
  return error;
};

describe("a DOCKER_HOST that is wrong is named, with what it did and the remedy", () => {
  it("a port on which nobody listens", async () => {
    const { message } = await refusal(`tcp://127.0.0.1:${await freePort()}`);
    expect(message).toContain("ECONNREFUSED");
  });

  it("a socket that is not there", async () => {
    expect((await refusal("unix:///nowhere/docker.sock")).message).toContain("is not there");
  });

  it("a socket whose engine has stopped", async () => {
    // A socket file without a listener: what an engine leaves that was killed.
    const path = join(tmpdir(), `sluice-${process.pid}.sock`);
    const listen = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", listen]);
    try {
      expect((await refusal(`unix://${path}`)).message).toContain("ECONNREFUSED");
    } finally {
      rmSync(path);
    }
  });

  it("something that is no address at all, or none that can be used", async () => {
    expect((await refusal("my-docker")).message).toContain("is not the address of a Docker engine");
    expect((await refusal("ssh://me@host")).message).toContain("SSH");
  });

  it("something that listens and is no engine", async () => {
    const server = createServer((socket) => socket.on("error", () => {}).end("220 smtp ready\r\n"));
    servers.push(server);
    const port = await new Promise<number>((resolve) =>
      server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port)),
    );
    expect((await refusal(`tcp://127.0.0.1:${port}`)).message).toContain("accepts connections");
  });
});
