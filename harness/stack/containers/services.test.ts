/** docker-compose.yml and the container stack are the same images with the same settings. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { kafkaSettings, postgresSettings, redisSettings } from "../settings.ts";
import { serviceNames } from "../stack.ts";
import { composeLabel } from "./compose-services.ts";
import { images } from "./images.ts";
import { kafkaEnvironment, serviceSpec } from "./services.ts";

const compose = readFileSync(new URL("../../../docker-compose.yml", import.meta.url), "utf8");

/** The lines of one service. */
function section(service: string): string {
  const [, rest] = compose.split(new RegExp(`^  ${service}:$`, "m"));
  return rest?.split(/^ {0,2}\S/m)[0] ?? "";
}

const unquoted = (word: string): string => word.replace(/^"(.*)"$/, "$1");

describe("docker-compose.yml", () => {
  it.each(serviceNames)("has the pinned image of %s", (service) => {
    expect(/^ {4}image: (\S+)$/m.exec(section(service))?.[1]).toBe(images[service]);
  });

  it.each(serviceNames)("has the label by which %s is known as ours", (service) => {
    expect(section(service)).toContain(`      ${composeLabel}: "${service}"\n`);
  });

  it("has every setting a lab relies on", () => {
    for (const [name, value] of Object.entries(kafkaEnvironment(kafkaSettings))) {
      expect(section("kafka")).toContain(`      ${name}: "${value}"\n`);
    }
    for (const [name, value] of Object.entries(postgresSettings)) {
      expect(section("postgres")).toContain(`      - "${name}=${value}"\n`);
    }
    const words = [...section("redis").matchAll(/^ {6}- (.*)$/gm)].map(([, word = ""]) => unquoted(word));
    for (const [name, value] of Object.entries(redisSettings)) {
      expect(words[words.indexOf(`--${name}`) + 1], name).toBe(unquoted(String(value)));
    }
  });

  it("compiles the broker as the container stack does", () => {
    const name = "KAFKA_JVM_PERFORMANCE_OPTS";
    const access = { servicePort: 1, directPort: 2, proxyPort: 3, password: "" };
    const { environment } = serviceSpec("kafka", access, "127.0.0.1", false);
    expect(section("kafka")).toContain(`      ${name}: "${environment[name]}"\n`);
  });

  it("opens ports on the loopback alone", () => {
    const ports = [...compose.matchAll(/^ {6}- "(.*:\d+)"$/gm)].map(([, port]) => port ?? "");
    expect(ports.length).toBeGreaterThanOrEqual(serviceNames.length);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  });
});

describe("Kafka's listeners", () => {
  const access = { servicePort: 20_001, directPort: 20_002, proxyPort: 20_003, password: "" };
  const { environment, ports } = serviceSpec("kafka", access, "10.0.0.9", false);

  it("advertise the harness's way, the proxy, and an address that leads home from inside the container", () => {
    expect(environment.KAFKA_ADVERTISED_LISTENERS?.split(",")).toEqual([
      "DIRECT://10.0.0.9:20002",
      "WORKER://127.0.0.1:20003",
      "BROKER://localhost:9095",
    ]);
  });

  it("are published where each is advertised or where its proxy leads", () => {
    expect(ports).toEqual([
      { container: 9092, host: 20_002 },
      { container: 9093, host: 20_001 },
    ]);
  });
});
