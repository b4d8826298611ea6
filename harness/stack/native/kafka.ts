/** Kafka: one node, both KRaft roles, as a child JVM. */
import { delimiter, join } from "node:path";
import { kafkaSettings, type Settings } from "../settings.ts";

export interface KafkaPorts {
  readonly controller: number;
  /** The harness's listener. */
  readonly direct: number;
  /** The workers' listener: bound here, and advertised as the proxy's port. */
  readonly worker: number;
  readonly proxy: number;
}

export interface Jvm {
  readonly java: string;
  readonly jars: readonly string[];
  /** Class-data archive to start from, or to write at exit. */
  readonly archive?: { readonly file: string; readonly use: "start" | "write" };
  /**
   * Compile with C1 only: the broker is there in about half the time and uses half the CPU at first; a
   * measurement of minutes wants the full compiler.
   */
  readonly quick: boolean;
}

/** Arguments of `java` for a broker (`kafka.Kafka`) or a tool, run in `folder`. */
export function javaArguments(jvm: Jvm, folder: string, program: readonly string[]): string[] {
  const archive =
    jvm.archive === undefined
      ? []
      : [
          `-XX:${jvm.archive.use === "start" ? "SharedArchiveFile" : "ArchiveClassesAtExit"}=${jvm.archive.file}`,
        ];
  return [
    "-Xms128m",
    "-Xmx768m",
    "-XX:+UseSerialGC",
    ...(jvm.quick ? ["-XX:TieredStopAtLevel=1"] : []),
    // Another maker's JVM may lack the archive or an option; the broker is right without them, only slower.
    "-XX:+IgnoreUnrecognizedVMOptions",
    ...archive,
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    // Both would leave files behind in the system's temporary folder after a SIGKILL.
    "-XX:-UsePerfData",
    `-Djava.io.tmpdir=${folder}`,
    "-Djava.awt.headless=true",
    `-Dlog4j2.configurationFile=${join(folder, "log4j2.properties")}`,
    // A list of jars, not a wildcard: the archive is bound to it.
    "-cp",
    jvm.jars.join(delimiter),
    ...program,
  ];
}

/** server.properties of a run's broker, or of the one that formats the template. */
export function serverProperties(ports: KafkaPorts, dataFolder: string): string {
  const host = "127.0.0.1";
  return properties({
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.quorum.voters": `1@${host}:${ports.controller}`,
    listeners: `CONTROLLER://${host}:${ports.controller},DIRECT://${host}:${ports.direct},WORKER://${host}:${ports.worker}`,
    "advertised.listeners": `DIRECT://${host}:${ports.direct},WORKER://${host}:${ports.proxy}`,
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,DIRECT:PLAINTEXT,WORKER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "DIRECT",
    "log.dirs": dataFolder,
    ...kafkaSettings,
  });
}

/** Everything to standard output, which is the run's log file. */
export const log4jProperties = properties({
  "rootLogger.level": "INFO",
  "rootLogger.appenderRef.out.ref": "out",
  "appender.out.type": "Console",
  "appender.out.name": "out",
  "appender.out.layout.type": "PatternLayout",
  "appender.out.layout.pattern": "%d{ISO8601} %p %m (%c{1})%n%throwable",
  // 900 lines of settings at each start.
  "logger.config.name": "org.apache.kafka.common.config",
  "logger.config.level": "WARN",
  "logger.kafkaconfig.name": "kafka.server.KafkaConfig",
  "logger.kafkaconfig.level": "WARN",
});

function properties(values: Settings): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}
