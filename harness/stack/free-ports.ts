/** A server behind its proxy, on ports that nobody else has. */
import { type OpenLink, openLink } from "./link.ts";
import type { StackProgress } from "./stack.ts";

export interface Place {
  /** Where the server is to listen for workers. */
  readonly servicePort: number;
  /** The proxy in front of it. */
  readonly port: number;
  readonly address: string;
}

/** Where ports are drawn. */
export interface PortSource {
  /** A port on 127.0.0.1 that is free right now. */
  claimPort(): Promise<number>;
  /** Where the servers are reached; 127.0.0.1 when absent. */
  readonly host?: string;
}

const attempts = 3;

/**
 * Starts a server behind a proxy, and again on other ports when somebody took one between the look and the bind.
 *
 * @param start fails with "address already in use" in its message when the server could not bind a port
 */
export async function onFreePorts<T>(
  { claimPort, host = "127.0.0.1" }: PortSource,
  onProgress: StackProgress,
  start: (place: Place) => Promise<T>,
): Promise<T & { readonly link: OpenLink }> {
  for (let attempt = 1; ; attempt += 1) {
    let link: OpenLink | undefined;
    try {
      const servicePort = await claimPort();
      const target = { host, port: servicePort };
      link = await openLink({ port: await claimPort(), target: () => target, onProblem: onProgress });
      return { ...(await start({ servicePort, port: link.port, address: link.address })), link };
    } catch (error) {
      link?.close();
      if (attempt === attempts || !isPortInUse(String(error))) throw error;
      onProgress("a port was taken in the meantime: starting again on another");
    }
  }
}

/** Node's, the servers', and Docker's words for it. */
export const isPortInUse = (text: string): boolean =>
  /EADDRINUSE|address already in use|port is already allocated|ports are not available/i.test(text);
