/**
 * What every kind of stack must do, as tests against the `Stack` interface alone.
 *
 * A kind that cannot do something must say so in one line and refuse to try; the same tests check that.
 */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ServiceClients, serviceClients } from "./contract-clients.ts";
import { kafkaAnswers, postgresAnswers, redisAnswers } from "./probes.ts";
import { type Condition, until } from "./readiness.ts";
import { type Endpoints, type ServiceName, type Stack, type StackAction, serviceNames } from "./stack.ts";

/**
 * @param open a fresh stack; the suite stops it
 * @param seesProcesses whether the servers must be processes of this machine; by default those of a stack that can kill them
 */
export function stackContract(
  kind: string,
  open: () => Promise<Stack>,
  seesProcesses: (stack: Stack) => boolean = (stack) => stack.cannot("kill", "kafka") === undefined,
): void {
  describe(`${kind} stack`, () => {
    let stack: Stack;
    let direct: ServiceClients;
    beforeAll(async () => {
      stack = await open();
      direct = serviceClients(stack.direct);
    });
    afterAll(() => stack?.stop());

    it("says in one line what it is and why, and shows no password", () => {
      expect(stack.kind).toBe(kind);
      expect(stack.why).toMatch(/^\S.*\S$/);
      for (const url of [stack.direct.databaseUrl, stack.direct.redisUrl]) {
        const { password } = new URL(url);
        if (password !== "") expect(stack.why).not.toContain(password);
      }
    });

    it.each(["direct", "worker"] as const)("serves all three services on the %s endpoints", async (way) => {
      const clients = serviceClients(stack[way]);
      for (const service of serviceNames) {
        const key = `${kind}-${way}-${service}`;
        await clients.write(service, key);
        expect(await clients.read(service, key), service).toBe(1);
      }
    });

    it("forms a consumer group through the workers' endpoints and delivers what was produced", async () => {
      await direct.write("kafka", "group");
      expect(await serviceClients(stack.worker).consume("group")).toBe("group");
    });

    describe.each([...serviceNames])("%s", (service) => {
      const can = (action: StackAction): boolean => {
        const reason = stack.cannot(action, service);
        if (reason !== undefined) expect(reason).toMatch(/^\S[^\n]*\S$/);
        return reason === undefined;
      };
      const linked = () => {
        const link = stack.link(service);
        if (link === undefined) throw new Error("a service that can be cut has a link");
        return link;
      };

      it("counts the workers' bytes, and not the harness's", async () => {
        if (!can("cut")) return expect(stack.link(service)).toBeUndefined();
        const before = linked().bytes();
        await direct.write(service, "uncounted");
        expect(linked().bytes()).toEqual(before);
        await serviceClients(stack.worker).write(service, "counted");
        expect(linked().bytes().toService).toBeGreaterThan(before.toService + 10);
        expect(linked().bytes().toWorker).toBeGreaterThan(before.toWorker);
      });

      it("cuts workers off, leaves the harness its way, and heals", async () => {
        if (!can("cut")) return;
        linked().cut();
        await expect(answer(stack.worker, service)).rejects.toThrow();
        await until(condition(stack.direct, service), { timeoutMs: 5_000 });
        linked().heal();
        await until(condition(stack.worker, service), { timeoutMs: 5_000 });
      });

      it("stalls without closing, and what was severed never arrives", async () => {
        if (!can("stall")) return;
        const writer = await serviceClients(stack.worker).writer(service);
        const key = service === "kafka" ? "writer" : `${kind}-severed`;
        const before = await direct.read(service, key);
        linked().stall("toService");
        const written = writer.write(`${kind}-severed`).then(
          () => "written",
          () => "failed",
        );
        await expect(answer(stack.worker, service)).rejects.toThrow(unanswered);
        linked().sever();
        expect(await written).toBe("failed");
        writer.close();
        await until(condition(stack.worker, service), { timeoutMs: 5_000 });
        expect(await direct.read(service, key)).toBe(before);
      });

      it("delivers after a release what a stall held back", async () => {
        if (!can("stall")) return;
        const writer = await serviceClients(stack.worker).writer(service);
        linked().stall("toWorker");
        const written = writer.write(`${kind}-released`);
        // Held is the answer, not the question: the write itself arrives.
        const key = service === "kafka" ? "writer" : `${kind}-released`;
        const before = linked().bytes().toWorker;
        await until(
          {
            what: "the write to arrive",
            probe: async () => {
              if ((await direct.read(service, key)) === 0) throw new Error("not there");
            },
          },
          { timeoutMs: 5_000 },
        );
        expect(linked().bytes().toWorker).toBe(before);
        linked().release();
        await written;
        writer.close();
      });

      it("falls silent while paused, and answers as soon as resume resolves", async () => {
        if (!can("pause")) return expect(stack.pause(service)).rejects.toThrow();
        await stack.pause(service);
        const silence = expect(answer(stack.direct, service)).rejects.toThrow(unanswered);
        await silence.finally(() => stack.resume(service));
        expect(await answer(stack.direct, service)).not.toBe("nothing");
      });

      it("refuses connections once killed, and is back on its address with its data after a restart", async () => {
        if (!can("kill")) return expect(stack.kill(service)).rejects.toThrow();
        await direct.write(service, "kept");
        await stack.kill(service);
        expect(await connects(address(stack.direct, service))).toBe(false);
        await stack.restart(service);
        expect(await direct.read(service, "kept")).toBe(1);
        await serviceClients(stack.worker).write(service, "after");
      });

      it("restarts a running server with its data", async () => {
        if (!can("restart")) return expect(stack.restart(service)).rejects.toThrow();
        await direct.write(service, "kept over a restart");
        await stack.restart(service);
        expect(await direct.read(service, "kept over a restart")).toBe(1);
      });
    });

    it("leaves nothing when stopped, and may be stopped twice", async () => {
      const pids = stack.processIds();
      if (seesProcesses(stack)) expect(pids.length).toBeGreaterThanOrEqual(serviceNames.length);
      expect(pids.every(exists)).toBe(true);
      await Promise.all([stack.stop(), stack.stop()]);
      expect(pids.filter(exists)).toEqual(stack.lasts ? pids : []);
      expect(stack.processIds()).toEqual([]);
      for (const service of serviceNames) {
        if (stack.link(service) !== undefined) {
          expect(await connects(address(stack.worker, service)), `${service}'s proxy`).toBe(false);
        }
        // What was found running is left running.
        if (stack.lasts) await until(condition(stack.direct, service), { timeoutMs: 2_000 });
        else expect(await connects(address(stack.direct, service)), service).toBe(false);
      }
    });
  });
}

function condition(endpoints: Endpoints, service: ServiceName): Condition<unknown> {
  const where = address(endpoints, service);
  if (service === "kafka") return kafkaAnswers(endpoints.kafkaBrokers);
  return service === "postgres"
    ? postgresAnswers(endpoints.databaseUrl, where)
    : redisAnswers(endpoints.redisUrl, where);
}

/** Not answered, and not refused either. Clients word their time-outs in many ways. */
const unanswered = /^(?!.*ECONNREFUSED)waited/;

/** One attempt, of half a second. */
const answer = (endpoints: Endpoints, service: ServiceName): Promise<unknown> =>
  until(condition(endpoints, service), { timeoutMs: 500, everyMs: 500 });

function address(endpoints: Endpoints, service: ServiceName): string {
  if (service === "kafka") return endpoints.kafkaBrokers.split(",")[0] ?? "";
  return new URL(service === "postgres" ? endpoints.databaseUrl : endpoints.redisUrl).host;
}

/** Whether something accepts connections there. */
export function connects(hostAndPort: string): Promise<boolean> {
  const [host = "", port] = hostAndPort.split(":");
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port) });
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/** Whether there is a process with that id (a zombie counts, as its parent would be the harness). */
export function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
