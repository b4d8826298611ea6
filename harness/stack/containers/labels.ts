/** Whose container this is: labels on everything the harness makes, and removal by them. */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { identify, isAlive, processSpace } from "../native/identity.ts";
import { messageOf, until } from "../readiness.ts";
import { type ServiceName, type StackProgress, serviceNames } from "../stack.ts";
import type { Docker } from "./engine.ts";
import { isUnreachable } from "./errors.ts";
import type { Access } from "./services.ts";

const runLabel = "sluice.run";
const machineLabel = "sluice.machine";
const serviceLabel = "sluice.service";
/** On the containers of a stack that outlives its harness; its value says what they are made of. */
const keptLabel = "sluice.kept";
const accessLabel = "sluice.access";

export interface Owner {
  /** `<boot>.<namespace>.<pid>.<start>.<random>`: the harness's own identity, as in the native stack's folders. */
  readonly run: string;
  readonly machine: string;
  /** Set when the stack is to stay after this run. */
  readonly kept?: string;
}

/** This process, as an owner. */
export function thisOwner(kept?: string): Owner {
  const self = identify(process.pid);
  if (self === undefined) throw new Error("cannot tell when this process started");
  const { boot, namespace } = processSpace();
  const random = randomBytes(4).toString("hex");
  const run = [boot, namespace, self.pid, self.startedAt, random].join(".");
  return { run, machine: machine(), ...(kept === undefined ? {} : { kept }) };
}

/** @param access written down only where another run is to find its way in */
export const labelsOf = (owner: Owner, service: ServiceName, access: Access): Record<string, string> => ({
  [runLabel]: owner.run,
  [machineLabel]: owner.machine,
  [serviceLabel]: service,
  ...(owner.kept === undefined ? {} : { [keptLabel]: owner.kept, [accessLabel]: JSON.stringify(access) }),
});

/** An engine can serve several machines, and process ids say nothing about another one's. */
function machine(): string {
  const id = ["/etc/machine-id", "/var/lib/dbus/machine-id"].map(textOf).find((text) => text !== "") ?? "";
  return createHash("sha256").update(`${hostname()} ${id}`).digest("hex").slice(0, 12);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return "";
  }
}

export interface Found {
  readonly id: string;
  readonly service: ServiceName;
  readonly running: boolean;
  readonly owner: Owner;
  /** Of a kept stack. */
  readonly access: Access | undefined;
}

/** Everything of Sluice's on the engine, running or not. */
export async function findAll(docker: Docker, label = runLabel): Promise<readonly Found[]> {
  const containers = await docker.listContainers({ all: true, filters: { label: [label] } });
  return containers.map(({ Id, State, Labels }) => {
    const kept = Labels[keptLabel];
    return {
      id: Id,
      running: State === "running",
      service: Labels[serviceLabel] as ServiceName,
      access: Labels[accessLabel] === undefined ? undefined : (JSON.parse(Labels[accessLabel]) as Access),
      owner: {
        run: Labels[runLabel] ?? "",
        machine: Labels[machineLabel] ?? "",
        ...(kept === undefined ? {} : { kept }),
      },
    };
  });
}

/** Containers of one run. */
export const ofRun = (docker: Docker, run: string): Promise<readonly Found[]> =>
  findAll(docker, `${runLabel}=${run}`);

export type Kept = Found & { readonly access: Access };

/** Whole kept stacks of that make on this machine, the containers of each. */
export async function keptStacks(docker: Docker, kept: string): Promise<readonly (readonly Kept[])[]> {
  const found = await findAll(docker, `${keptLabel}=${kept}`);
  const here = machine();
  const usable = found.filter((one): one is Kept => one.owner.machine === here && one.access !== undefined);
  return [...byRun(usable).values()].filter(isWhole);
}

function byRun<T extends Found>(found: readonly T[]): ReadonlyMap<string, readonly T[]> {
  const runs = new Map<string, T[]>();
  for (const one of found) runs.set(one.owner.run, [...(runs.get(one.owner.run) ?? []), one]);
  return runs;
}

const isWhole = (containers: readonly Found[]): boolean =>
  serviceNames.every((name) => containers.some(({ service }) => service === name));

/**
 * Removes a run's containers with their volumes and resolves when none is left; also those that another
 * process is removing at the same time, and one that was being created when this was called.
 */
export async function removeRun(docker: Docker, run: string): Promise<void> {
  /** An engine that does not answer any more will not within seconds. */
  let unreachable: unknown;
  const removed = {
    what: "the engine to remove this run's containers",
    probe: async () => {
      const found = await ofRun(docker, run).catch((error: unknown) => {
        if (isUnreachable(error)) unreachable = error;
        throw error;
      });
      await Promise.all(found.map(({ id }) => removeContainer(docker, id)));
      if ((await ofRun(docker, run)).length > 0) throw new Error("some are still there");
    },
  };
  const hopeless = (): string | undefined =>
    unreachable === undefined ? undefined : `it does not answer any more (${messageOf(unreachable)})`;
  await until(removed, { timeoutMs: 30_000, everyMs: 100, attemptMs: 20_000, hopeless }).catch(
    (error: unknown) => {
      throw unreachable ?? error;
    },
  );
}

export async function removeContainer(docker: Docker, id: string): Promise<void> {
  try {
    await docker.getContainer(id).remove({ force: true, v: true });
  } catch (error) {
    const { statusCode } = error as { readonly statusCode?: number };
    // Gone already, or somebody else is removing it.
    if (statusCode !== 404 && statusCode !== 409) throw error;
  }
}

/**
 * Removes what harnesses of this machine left that no longer live. A living one's containers are not touched,
 * nor those of another machine or another container, which cannot be judged from here, nor a whole kept stack.
 */
export async function sweepContainers(docker: Docker, onProgress: StackProgress): Promise<void> {
  const here = { machine: machine(), ...processSpace() };
  for (const [run, containers] of byRun(await findAll(docker))) {
    const owner = containers[0]?.owner;
    if (owner === undefined || !isLeftover(owner, here)) continue;
    if (owner.kept !== undefined && isWhole(containers)) continue;
    onProgress(`removing containers an earlier run left behind (process ${run.split(".")[2]})`);
    await removeRun(docker, run);
  }
}

/** Whether an owner is known to be dead. */
export function isLeftover(
  owner: Owner,
  here: { readonly machine: string; readonly boot: string; readonly namespace: string },
  alive = isAlive,
): boolean {
  const [boot, namespace, pid, startedAt] = owner.run.split(".");
  if (owner.machine !== here.machine || pid === undefined || startedAt === undefined) return false;
  if (boot !== here.boot) return true;
  return namespace === here.namespace && !alive({ pid: Number(pid), startedAt });
}
