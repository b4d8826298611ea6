/** A service's URL: its address for messages, and the same URL through a proxy, credentials kept. */
import { CannotRun } from "../cannot-run.ts";
import type { Target } from "./link.ts";

export interface ServiceUrl {
  /** As given, credentials and all. Not for messages. */
  readonly url: string;
  /** `host:port`, for messages. */
  readonly address: string;
  readonly target: Target;
  /** Why this service cannot be put behind a proxy, in one line; undefined when it can. */
  readonly direct: string | undefined;
  /** The same URL with another `host:port`. */
  through(address: string): string;
  /** What must never be shown: the password as written and as meant. */
  readonly secrets: readonly string[];
}

const kinds = {
  DATABASE_URL: {
    schemes: ["postgres:", "postgresql:"],
    port: 5432,
    example: "postgresql://user:password@127.0.0.1:5432/postgres",
  },
  REDIS_URL: { schemes: ["redis:", "rediss:"], port: 6379, example: "redis://:password@127.0.0.1:6379" },
} as const;

/** @throws CannotRun when it is not such a URL; the message does not repeat it */
export function serviceUrl(variable: keyof typeof kinds, text: string): ServiceUrl {
  const kind = kinds[variable];
  const parsed = parse(text.trim());
  if (
    parsed === undefined ||
    !(kind.schemes as readonly string[]).includes(parsed.protocol) ||
    parsed.hostname === ""
  ) {
    throw new CannotRun(
      `${variable} is not a URL of the form ${kind.schemes.map((it) => `${it}//host:port`).join(" or ")}`,
      [
        `for example ${variable}=${kind.example}`,
        "special characters in the password must be percent-encoded",
      ],
    );
  }
  const port = parsed.port === "" ? kind.port : Number(parsed.port);
  const secrets = [parsed.password, decoded(parsed.password)].filter((secret) => secret !== "");
  return {
    url: text.trim(),
    address: `${parsed.hostname}:${port}`,
    target: { host: parsed.hostname.replace(/^\[|\]$/g, ""), port },
    direct: whyDirect(parsed),
    through: (address) => {
      const other = new URL(parsed);
      other.host = address;
      return other.href;
    },
    secrets: [...new Set(secrets)],
  };
}

/** TLS clients check the name of the host they asked for, and the proxy's is another one. */
function whyDirect(url: URL): string | undefined {
  const query = url.searchParams;
  const mode = query.get("sslmode") ?? "disable";
  const ssl = query.get("ssl") ?? "false";
  if (url.protocol === "rediss:" || mode !== "disable" || !["false", "0"].includes(ssl)) {
    return `workers reach ${url.hostname} directly: its URL asks for TLS, which checks the host's name`;
  }
  if (query.has("host") || query.has("port")) {
    return `workers reach ${url.hostname} directly: its URL names the host in its query`;
  }
  return undefined;
}

function parse(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    // The error would carry the whole text, password included.
    return undefined;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
