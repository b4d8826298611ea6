import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, expect, test } from "vitest";
import { type Child, startChild } from "./child.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-child-"));
const children: Child<object>[] = [];
afterAll(async () => {
  await Promise.all(children.map((child) => child.close()));
  rmSync(folder, { recursive: true });
});

/** A program that tells its process id and how many orders it has had, and dies when it is told to. */
function program(name: string): URL {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(
    file,
    `let orders = 0;
    process.on("message", ({ die, fail }) => {
      if (die) process.exit(7);
      if (fail) process.send({ type: "failed", text: fail });
      else process.send({ type: "pid", pid: process.pid, orders: ++orders });
    });
    process.on("disconnect", () => process.exit());`,
  );
  return pathToFileURL(file);
}

type Order = { readonly die?: true; readonly fail?: string };
type Said = { readonly type: "pid"; readonly pid: number; readonly orders: number };

function start(module: URL, signal?: AbortSignal) {
  const heard: Said[] = [];
  const child = startChild<Order, Said>({ name: "it", module, signal, onMessage: (one) => heard.push(one) });
  children.push(child);
  return {
    child,
    heard,
    async asked(): Promise<Said> {
      const before = heard.length;
      child.send({});
      return await child.awaited("an answer", () => heard[before], 10_000);
    },
  };
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

test("what was released serves the next of its module, and nobody else; what it still says is not heard", async () => {
  const module = program("served");
  const first = start(module);
  const { pid } = await first.asked();
  first.child.send({});
  first.child.release();
  const other = await start(program("other")).asked();
  expect(other.pid).not.toBe(pid);
  const second = start(module);
  const said = await second.asked();
  expect(said.pid).toBe(pid);
  expect(first.heard).toHaveLength(1);
  const third = await start(module).asked();
  expect(third.pid).not.toBe(pid);
});

test("neither an abort nor a close ends what was released before", async () => {
  const module = program("kept");
  const abort = new AbortController();
  const one = start(module, abort.signal);
  const { pid } = await one.asked();
  one.child.release();
  abort.abort();
  await one.child.close();
  expect(isAlive(pid)).toBe(true);
  expect((await start(module).asked()).pid).toBe(pid);
});

test("a process that is given out again and again gathers no listeners", async () => {
  const module = program("again");
  const warnings: Error[] = [];
  const warn = (warning: Error) => warnings.push(warning);
  process.on("warning", warn);
  for (let i = 0; i < 15; i += 1) {
    const { child, asked } = start(module);
    expect((await asked()).orders).toBe(i + 1);
    child.release();
  }
  process.off("warning", warn);
  expect(warnings).toEqual([]);
});

test("a spare that died meanwhile is not given out", async () => {
  const module = program("died");
  const one = start(module);
  const { pid } = await one.asked();
  one.child.release();
  process.kill(pid, "SIGKILL");
  await expect.poll(() => isAlive(pid)).toBe(false);
  expect((await start(module).asked()).pid).not.toBe(pid);
});

test("an abort ends one at work, and every wait for it says how it ended", async () => {
  const abort = new AbortController();
  const { child, asked } = start(program("aborted"), abort.signal);
  const { pid } = await asked();
  abort.abort();
  await expect(child.lost).rejects.toThrow("it failed: it ended (SIGKILL)");
  expect(isAlive(pid)).toBe(false);
  expect(() => start(program("late"), abort.signal)).toThrow(/abort/i);
});

test("one that fails or dies is never kept", async () => {
  const module = program("failing");
  const { child, asked } = start(module);
  const { pid } = await asked();
  child.send({ fail: "no brokers" });
  await expect(child.awaited("more", () => undefined, 10_000)).rejects.toThrow(
    "it failed while the harness waited for more: no brokers",
  );
  child.release();
  await child.close();
  expect(isAlive(pid)).toBe(false);
  const { child: dying } = start(module);
  dying.send({ die: true });
  await expect(dying.lost).rejects.toThrow("it failed: it ended (7)");
});
