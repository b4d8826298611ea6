/** Which prebuilt servers fit this machine. */
import { CannotRun } from "../../cannot-run.ts";

export interface Platform {
  /** Last part of the name of the PostgreSQL artifact. */
  readonly postgresArtifact: string;
  /** Name of the executable in the Redis artifact; undefined where it has none, as for musl. */
  readonly redisExecutable: string | undefined;
}

const known: Readonly<Record<string, Platform>> = {
  "linux-x64": { postgresArtifact: "linux-amd64", redisExecutable: "redis-server-6.2.6-v5-linux-amd64" },
  "linux-arm64": { postgresArtifact: "linux-arm64v8", redisExecutable: "redis-server-6.2.7-linux-arm64" },
  "linux-x64-musl": { postgresArtifact: "linux-amd64-alpine", redisExecutable: undefined },
  "linux-arm64-musl": { postgresArtifact: "linux-arm64v8-alpine", redisExecutable: undefined },
  "darwin-x64": { postgresArtifact: "darwin-amd64", redisExecutable: "redis-server-6.2.6-v5-darwin-amd64" },
  "darwin-arm64": {
    postgresArtifact: "darwin-arm64v8",
    redisExecutable: "redis-server-6.2.6-v5-darwin-arm64",
  },
};

/** The ways to the three services other than Java and Maven; every "no native stack" error ends with them. */
export const otherWays: readonly string[] = [
  "start Docker, and use --stack containers (coming: not in this version yet)",
  "set KAFKA_BROKERS, DATABASE_URL and REDIS_URL to services that already run (--stack external)",
];

/** @throws CannotRun where there is no PostgreSQL artifact */
export function platformFor(os: string, arch: string, musl: boolean): Platform {
  const name = `${os}-${arch}${musl ? "-musl" : ""}`;
  const platform = known[name];
  if (platform !== undefined) return platform;
  throw new CannotRun(`the native stack has no PostgreSQL for this platform (${name})`, [
    `it runs on ${Object.keys(known).join(", ")}`,
    ...otherWays,
  ]);
}

export function thisPlatform(): Platform {
  return platformFor(process.platform, process.arch, process.platform === "linux" && !hasGlibc());
}

function hasGlibc(): boolean {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime !== undefined;
}
