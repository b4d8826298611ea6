/** For tests of pulls: a registry on the loopback, which engines use without TLS, with one image that comes slowly. */
import { createHash, randomBytes } from "node:crypto";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface SlowRegistry {
  /** `127.0.0.1:<port>/sluice/slow:1`. */
  readonly image: string;
  close(): void;
}

const manifestType = "application/vnd.docker.distribution.manifest.v2+json";
const chunks = 20;

/** @param layerMs how long the image's one layer, of 4 MB, takes to come */
export async function slowRegistry(layerMs: number): Promise<SlowRegistry> {
  const layer = tar("filler", randomBytes(4 << 20));
  const config = Buffer.from(
    JSON.stringify({
      architecture: "amd64",
      os: "linux",
      config: {},
      rootfs: { type: "layers", diff_ids: [digest(layer)] },
    }),
  );
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: described("application/vnd.docker.container.image.v1+json", config),
      layers: [described("application/vnd.docker.image.rootfs.diff.tar", layer)],
    }),
  );
  const server = createServer((request, response) => {
    const url = request.url ?? "";
    const send = (body: Buffer, type: string): void => {
      response.setHeader("Content-Type", type);
      response.setHeader("Docker-Content-Digest", digest(body));
      response.setHeader("Content-Length", body.length);
      if (request.method === "HEAD") response.end();
      else if (body === layer) trickle(response, body, layerMs);
      else response.end(body);
    };
    if (url.includes("/manifests/")) send(manifest, manifestType);
    else if (url.endsWith(digest(config))) send(config, "application/octet-stream");
    else if (url.endsWith(digest(layer))) send(layer, "application/octet-stream");
    else response.writeHead(url === "/v2/" ? 200 : 404).end();
  });
  const port = await listening(server);
  return {
    image: `127.0.0.1:${port}/sluice/slow:1`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const digest = (body: Buffer): string => `sha256:${createHash("sha256").update(body).digest("hex")}`;
const described = (mediaType: string, body: Buffer) => ({
  mediaType,
  size: body.length,
  digest: digest(body),
});

function trickle(response: ServerResponse, body: Buffer, layerMs: number): void {
  const size = Math.ceil(body.length / chunks);
  let sent = 0;
  const timer = setInterval(() => {
    response.write(body.subarray(sent, sent + size));
    sent += size;
    if (sent < body.length) return;
    clearInterval(timer);
    response.end();
  }, layerMs / chunks);
  response.on("close", () => clearInterval(timer));
}

/** An archive of one file: a header of 512 bytes, the content, two empty blocks. */
function tar(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write("0000644\0", 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000000\0", 136);
  header.write("        0", 148);
  header.write("ustar\u000000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return Buffer.concat([header, content, Buffer.alloc(1024 + ((512 - (content.length % 512)) % 512))]);
}
