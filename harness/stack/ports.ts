/**
 * Ports for servers and proxies, on 127.0.0.1.
 *
 * They come from below the ephemeral ranges (32768 up on Linux, 49152 up on macOS): a server that is down for
 * a moment, or a proxy that is cut, must find its port free again, and a client that keeps trying a port of
 * the ephemeral range can even be connected to itself and hold it.
 */
import { createServer } from "node:net";

const firstPort = 20_000;
const lastPort = 31_999;
const draws = 200;

/**
 * A port that can be bound right now. Nothing reserves it: whoever binds it must be ready to draw again.
 *
 * @param accept a further say in the matter, such as that no other harness has claimed it
 * @throws Error when none of 200 draws was free
 */
export async function freePort(accept: (port: number) => boolean = () => true): Promise<number> {
  for (let draw = 0; draw < draws; draw += 1) {
    const port = firstPort + Math.floor(Math.random() * (lastPort - firstPort + 1));
    if ((await canBind(port)) && accept(port)) return port;
  }
  throw new Error(`no free port on 127.0.0.1 among ${draws} drawn from ${firstPort} to ${lastPort}`);
}

function canBind(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port }, () => server.close(() => resolve(true)));
  });
}
