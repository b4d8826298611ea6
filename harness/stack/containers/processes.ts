/** A container's processes as this machine sees them, so that what they use is not taken for somebody else's. */
import { readdirSync, readFileSync } from "node:fs";
import type { ProcessUsage } from "../../probe/processes.ts";
import { descendants } from "../native/identity.ts";
import type { Docker } from "./engine.ts";

/**
 * Gives a function that tells the container's processes, and those that carry its published ports, right now.
 * It tells none where the engine's processes are not this machine's: Docker Desktop, another host, another namespace.
 */
export async function processesOf(
  docker: Docker,
  id: string,
  ports: readonly { readonly host: number }[],
): Promise<(table?: readonly ProcessUsage[]) => readonly number[]> {
  const { State } = await docker.getContainer(id).inspect();
  const pid = State.Pid;
  if (pid <= 0 || !isOf(pid, id)) return () => [];
  const carriers = portCarriers(ports.map(({ host }) => host));
  return (table) => [pid, ...descendants(pid, table), ...carriers];
}

/** The kernel says which container a process is in; an id from another machine means some other process here. */
function isOf(pid: number, id: string): boolean {
  return read(`/proc/${pid}/cgroup`).includes(id) || read(`/proc/${pid}/mountinfo`).includes(id);
}

/** docker-proxy: one process for each published port. */
function portCarriers(ports: readonly number[]): readonly number[] {
  const wanted = new Set(ports.map(String));
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const words = read(`/proc/${name}/cmdline`).split("\0");
    const port = words[words.indexOf("-host-port") + 1];
    return words[0]?.endsWith("docker-proxy") && port !== undefined && wanted.has(port) ? [Number(name)] : [];
  });
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
