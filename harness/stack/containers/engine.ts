/** The Docker engine: found, or told in one line why there is none. */
import { existsSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import type { ContainerRuntimeClient } from "testcontainers";
import { CannotRun } from "../../cannot-run.ts";
import { messageOf } from "../readiness.ts";

/** The engine's own interface, as Testcontainers hands it out. */
export type Docker = ContainerRuntimeClient["container"]["dockerode"];

export interface Engine {
  readonly docker: Docker;
  readonly client: ContainerRuntimeClient;
  /** "Docker 27.1". */
  readonly title: string;
  /** Where published ports are reached. */
  readonly host: string;
  /** Where they are bound on the engine's machine: as closed as it can be and still be reached from here. */
  readonly bindAddress: string;
}

const connectTimeoutMs = 3_000;
/** From the first question to an engine's whole answer; one that is just starting takes some seconds. */
const answerTimeoutMs = 10_000;

const correctIt = "correct or unset DOCKER_HOST";
const startIt = "start Docker (Docker Desktop, colima start, or: sudo systemctl start docker)";
const otherWays = "or use --stack native (needs Java 17 or newer and Maven)";

/**
 * Finds the engine the way Testcontainers does: DOCKER_HOST, ~/.testcontainers.properties, the usual sockets.
 * But a DOCKER_HOST that does not answer is an error, and no reason to use some other engine instead.
 *
 * @param env where DOCKER_HOST is read for the question; Testcontainers itself reads the process's environment
 * @throws CannotRun that names what was asked, what it said, and the remedy; within about 10 s
 */
export async function findEngine(env: NodeJS.ProcessEnv = process.env): Promise<Engine> {
  const candidates = candidatesOf(env);
  if (candidates === undefined) return engineOf(await answer("the Docker engine"));
  const refusals: string[] = [];
  for (const candidate of candidates) {
    const refusal = await reach(candidate.target);
    if (refusal === undefined) return engineOf(await answer(candidate.name), candidate);
    refusals.push(`${candidate.name} ${refusal}`);
  }
  if (env.DOCKER_HOST !== undefined) {
    throw new CannotRun(`no Docker engine answers: ${refusals.join("; ")}`, [
      correctIt,
      `or ${startIt}`,
      otherWays,
    ]);
  }
  if (refusals.length === 0) {
    throw new CannotRun("no Docker engine: DOCKER_HOST is not set and there is no socket of one", [
      `install Docker, or ${startIt}`,
      otherWays,
    ]);
  }
  throw new CannotRun(`no Docker engine answers: ${refusals.join("; ")}`, [
    refusals.some((it) => it.includes("EACCES"))
      ? "let your user use it: sudo usermod -aG docker $USER, then log in again"
      : startIt,
    otherWays,
  ]);
}

type Target = { readonly path: string } | { readonly host: string; readonly port: number };

interface Candidate {
  /** For people: "DOCKER_HOST=tcp://10.0.0.1:2375", "/var/run/docker.sock". */
  readonly name: string;
  readonly target: Target;
}

/** Undefined when the answer lies in Testcontainers' own configuration file. */
function candidatesOf(env: NodeJS.ProcessEnv): readonly Candidate[] | undefined {
  const named = env.DOCKER_HOST;
  if (named !== undefined) return [{ name: `DOCKER_HOST=${named}`, target: targetOf(named) }];
  if (hasOwnConfiguration()) return undefined;
  const home = homedir();
  const sockets = [
    "/var/run/docker.sock",
    ...(env.XDG_RUNTIME_DIR === undefined ? [] : [join(env.XDG_RUNTIME_DIR, "docker.sock")]),
    join(home, ".docker", "run", "docker.sock"),
    join(home, ".docker", "desktop", "docker.sock"),
    `/run/user/${process.getuid?.() ?? 0}/docker.sock`,
  ];
  if (process.platform === "win32")
    return [{ name: "Docker's named pipe", target: { path: "//./pipe/docker_engine" } }];
  return sockets.filter((path) => existsSync(path)).map((path) => ({ name: path, target: { path } }));
}

function hasOwnConfiguration(): boolean {
  try {
    return /^(tc|docker)\.host\s*=/m.test(
      readFileSync(join(homedir(), ".testcontainers.properties"), "utf8"),
    );
  } catch {
    return false;
  }
}

/** @throws CannotRun when it is no address of an engine that can be used */
function targetOf(dockerHost: string): Target {
  const refuse = (what: string): CannotRun =>
    new CannotRun(`DOCKER_HOST=${dockerHost} ${what}`, [
      "set DOCKER_HOST=unix:///var/run/docker.sock, or tcp://host:2375, or unset it",
      otherWays,
    ]);
  const url = parse(dockerHost);
  if (url === undefined) throw refuse("is not the address of a Docker engine");
  if (url.protocol === "unix:" && url.pathname !== "") return { path: url.pathname };
  if (url.protocol === "npipe:") return { path: url.pathname };
  if (["tcp:", "http:", "https:"].includes(url.protocol) && url.hostname !== "") {
    return { host: url.hostname, port: Number(url.port || 2375) };
  }
  throw refuse(
    url.protocol === "ssh:" ? "is an SSH address, which Testcontainers cannot use" : "is not such an address",
  );
}

function parse(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** Undefined when it accepts connections; else what it does instead. */
function reach(target: Target): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(target);
    const end = (refusal: string | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(refusal);
    };
    const timer = setTimeout(
      () => end(`did not answer within ${connectTimeoutMs / 1000} s`),
      connectTimeoutMs,
    );
    socket.once("connect", () => end(undefined));
    socket.once("error", (error: NodeJS.ErrnoException) =>
      end(
        error.code === "ENOENT"
          ? "is not there (ENOENT)"
          : `does not accept connections (${error.code ?? messageOf(error)})`,
      ),
    );
  });
}

async function answer(name: string): Promise<ContainerRuntimeClient> {
  const what = `${name} accepts connections but does not answer as a Docker engine`;
  const remedies = [...(name.startsWith("DOCKER_HOST") ? [correctIt] : []), startIt, otherWays];
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    const reason = `${what} within ${answerTimeoutMs / 1000} s`;
    timer = setTimeout(() => reject(new CannotRun(reason, remedies)), answerTimeoutMs);
  });
  try {
    // Loaded only now: it takes more than half a second, and most questions end before.
    const { getContainerRuntimeClient } = await import("testcontainers");
    return await Promise.race([getContainerRuntimeClient(), tooLate]);
  } catch (error) {
    throw error instanceof CannotRun ? error : new CannotRun(what, remedies);
  } finally {
    clearTimeout(timer);
  }
}

async function engineOf(client: ContainerRuntimeClient, asked?: Candidate): Promise<Engine> {
  const docker = client.container.dockerode;
  if (asked !== undefined && !isAt(docker, asked.target)) {
    // Testcontainers went on to another one.
    throw new CannotRun(`${asked.name} accepts connections but is no Docker engine`, [correctIt, otherWays]);
  }
  const { host, serverVersion } = client.info.containerRuntime;
  const isHere = host === "localhost" || (await isOwnAddress(host));
  const { socketPath } = connectionOf(docker);
  return {
    docker,
    client,
    title: `Docker ${String(serverVersion).split("+")[0]}`,
    host: isHere ? "127.0.0.1" : host,
    // Seen from inside a container, the engine's machine is the bridge's gateway, which is no address of a network.
    bindAddress: isHere ? "127.0.0.1" : socketPath === undefined ? "" : host,
  };
}

const connectionOf = (docker: Docker) =>
  docker.modem as { readonly socketPath?: string; readonly host?: string };

function isAt(docker: Docker, target: Target): boolean {
  const { socketPath, host } = connectionOf(docker);
  return "path" in target ? socketPath === target.path : host === target.host;
}

/** Asked of the kernel by binding: lists of interfaces leave out a bridge that has no container on it yet. */
function isOwnAddress(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host, port: 0 }, () => server.close(() => resolve(true)));
  });
}
