/** `--keep-stack`: a container stack that stays after its run, and is found again by the next. */
import { createHash } from "node:crypto";
import { openLink } from "../link.ts";
import { messageOf } from "../readiness.ts";
import { type ServiceName, serviceNames } from "../stack.ts";
import { type Kept, keptStacks, removeRun } from "./labels.ts";
import { type Access, serviceSpec } from "./services.ts";
import { type Site, watchedContainer } from "./watched.ts";

export const tellHowToEnd =
  'kept for the next run with --keep-stack; remove it with: docker rm -fv $(docker ps -aq --filter "label=sluice.kept")';

/** A digest of images and settings: a stack of other ones is not taken for the one that is wanted. */
export function keepLabel(benchmark: boolean): string {
  const sample: Access = { servicePort: 1, directPort: 2, proxyPort: 3, password: "" };
  const make = serviceNames.map((service) => {
    const { image, environment, command, files } = serviceSpec(service, sample, "host", benchmark);
    return { image, environment, command, files };
  });
  return createHash("sha256").update(JSON.stringify(make)).digest("hex").slice(0, 12);
}

/**
 * Finds a kept stack that no other run is using, starts what of it does not run, and opens its proxies on their old
 * ports, which Kafka advertises. One that does not answer any more is removed.
 *
 * @returns undefined when there is none to be had
 */
export async function reviveKept(site: Site, benchmark: boolean) {
  const { docker } = site.engine;
  for (const containers of await keptStacks(docker, keepLabel(benchmark))) {
    const run = containers[0]?.owner.run ?? "";
    const links = await openLinks(site, containers);
    if (links === "in use") {
      site.onProgress("the kept stack is in use by another run: starting one more");
      continue;
    }
    try {
      const services = await Promise.all(
        containers.map(async (found) => [found.service, await revive(site, found, benchmark)] as const),
      );
      site.onProgress("using the stack that an earlier run kept");
      const parts = services.map(([service, part]) => [service, { ...part, link: links[service] }]);
      return Object.fromEntries(parts) as Record<
        ServiceName,
        (typeof services)[number][1] & { readonly link: (typeof links)[ServiceName] }
      >;
    } catch (error) {
      for (const link of Object.values(links)) link.close();
      if (site.stopping()) throw error;
      site.onProgress(`the kept stack does not answer any more (${messageOf(error)}): removing it`);
      await removeRun(docker, run);
    }
  }
  return undefined;
}

async function openLinks(site: Site, containers: readonly Kept[]) {
  const links: Partial<Record<ServiceName, Awaited<ReturnType<typeof openLink>>>> = {};
  try {
    for (const { service, access } of containers) {
      const target = { host: site.engine.host, port: access.servicePort };
      links[service] = await openLink({
        port: access.proxyPort,
        target: () => target,
        onProblem: site.onProgress,
      });
    }
    return links as Required<typeof links>;
  } catch (error) {
    for (const link of Object.values(links)) link.close();
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return "in use";
    throw error;
  }
}

async function revive(site: Site, { id, service, access, running }: Kept, benchmark: boolean) {
  const spec = serviceSpec(service, access, site.engine.host, benchmark);
  const container = watchedContainer(site, spec, id);
  try {
    if (running) await container.answers();
    else await container.restart();
  } catch (error) {
    container.forget();
    throw error;
  }
  return { container, access, direct: spec.direct, worker: spec.worker };
}
