/** A server behind its proxy, on ports that nobody else has. */
import { type OpenLink, openLink } from "../link.ts";
import type { StackProgress } from "../stack.ts";
import type { Run } from "./run.ts";

export interface Place {
  /** Where the server is to listen for workers. */
  readonly servicePort: number;
  /** The proxy in front of it. */
  readonly port: number;
  readonly address: string;
}

const attempts = 3;

/**
 * Starts a server behind a proxy, and again on other ports when somebody took one between the look and the bind.
 *
 * @param start fails with "address already in use" in its message when the server could not bind a port
 */
export async function onFreePorts<T>(
  run: Pick<Run, "claimPort">,
  onProgress: StackProgress,
  start: (place: Place) => Promise<T>,
): Promise<T & { readonly link: OpenLink }> {
  for (let attempt = 1; ; attempt += 1) {
    let link: OpenLink | undefined;
    try {
      const servicePort = await run.claimPort();
      const target = { host: "127.0.0.1", port: servicePort };
      link = await openLink({ port: await run.claimPort(), target: () => target, onProblem: onProgress });
      return { ...(await start({ servicePort, port: link.port, address: link.address })), link };
    } catch (error) {
      link?.close();
      if (attempt === attempts || !isPortInUse(String(error))) throw error;
      onProgress("a port was taken in the meantime: starting again on another");
    }
  }
}

export const isPortInUse = (text: string): boolean => /EADDRINUSE|address already in use/i.test(text);
