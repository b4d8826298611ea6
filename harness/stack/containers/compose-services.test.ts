import { describe, expect, it } from "vitest";
import { CannotRun } from "../../cannot-run.ts";
import {
  composeLabel,
  type Described,
  findComposeServices,
  ownContainer,
  tellOwn,
} from "./compose-services.ts";
import type { Engine } from "./engine.ts";

const address = { host: "127.0.0.1", port: 16_379 };
const labels: Described["Config"]["Labels"] = {
  [composeLabel]: "redis",
  "com.docker.compose.project": "sluice",
  "com.docker.compose.service": "redis",
};
const redis = (changes: Partial<Described> = {}): Described => ({
  Id: "r1",
  State: { Running: true },
  Config: { Labels: labels },
  HostConfig: { PortBindings: { "6379/tcp": [{ HostIp: "127.0.0.1", HostPort: "16379" }] } },
  ...changes,
});
const labelled = (changes: Readonly<Record<string, string>>) =>
  redis({ Config: { Labels: { ...labels, ...changes } } });
const published = (HostIp: string, HostPort: string) =>
  redis({ HostConfig: { PortBindings: { "6379/tcp": [{ HostIp, HostPort }] } } });

describe("a container of docker-compose.yml", () => {
  it("is the one with its labels that is published on the very address", () => {
    const others = [published("127.0.0.1", "16380"), redis({ HostConfig: {} })];
    expect(ownContainer("redis", address, [...others, redis()])).toEqual({
      service: "redis",
      id: "r1",
      ports: [{ container: 6379, host: 16_379 }],
    });
  });

  it.each([
    ["has not our label", redis({ Config: { Labels: { "com.docker.compose.service": "redis" } } })],
    ["has our label for another service", labelled({ [composeLabel]: "postgres" })],
    ["was not started by compose", redis({ Config: { Labels: { [composeLabel]: "redis" } } })],
    ["is another service of its project", labelled({ "com.docker.compose.service": "cache" })],
    ["does not run", redis({ State: { Running: false } })],
    ["is published on another port", published("127.0.0.1", "16380")],
    ["is published to the network", published("0.0.0.0", "16379")],
    ["has a port that the engine draws", published("127.0.0.1", "")],
    ["publishes nothing", redis({ HostConfig: { PortBindings: null } })],
  ])("is none that %s", (_, container) => {
    expect(ownContainer("redis", address, [container])).toBeUndefined();
  });

  it("is none when two could be it, or when the address is another machine's", () => {
    expect(ownContainer("redis", address, [redis(), redis({ Id: "r2" })])).toBeUndefined();
    expect(ownContainer("redis", { ...address, host: "localhost" }, [redis()])).toBeUndefined();
  });
});

/** An engine that has these containers, as far as the search asks. */
const engineWith = (containers: readonly Described[], host = "127.0.0.1") =>
  ({
    host,
    docker: {
      listContainers: async () => containers,
      getContainer: (id: string) => ({ inspect: async () => containers.find(({ Id }) => Id === id) }),
    },
  }) as unknown as Engine;

describe("the search", () => {
  /** What it tells. */
  const search = async (engine: () => Promise<Engine>, host = "127.0.0.1") =>
    tellOwn(
      await findComposeServices({
        addresses: { redis: { ...address, host } },
        env: {},
        engine,
        timeoutMs: 50,
      }),
    );

  it("tells what it found, and what labs may do to it", async () => {
    expect(await search(async () => engineWith([redis()]))).toBe(
      "; redis: a container of docker-compose.yml, which labs may kill and restart",
    );
  });

  it("finds nothing, and says nothing, where there is no engine, or another machine's", async () => {
    const noEngine = () => Promise.reject(new CannotRun("no Docker engine", []));
    expect(await search(noEngine)).toBe("");
    expect(await search(async () => engineWith([redis()], "10.0.0.9"))).toBe("");
  });

  it("asks no engine about services elsewhere", async () => {
    let asked = false;
    const engine = async () => {
      asked = true;
      return engineWith([]);
    };
    await search(engine, "redis.example.org");
    expect(asked).toBe(false);
  });

  it("goes on without an engine that hangs, and says so", async () => {
    expect(await search(() => new Promise(() => {}))).toContain("did not answer within 0.05 s");
  });
});
