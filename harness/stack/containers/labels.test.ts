import { describe, expect, it } from "vitest";
import { isLeftover } from "./labels.ts";

const here = { machine: "m1", boot: "b1", namespace: "n1" };
const of = (run: string, machine = "m1") => ({ run, machine });
const dead = () => false;

describe("a leftover", () => {
  it("is what a dead process of this machine owns", () => {
    expect(isLeftover(of("b1.n1.7.99.ab"), here, dead)).toBe(true);
  });

  it("is not what a living one owns; that is told by process id and start time", () => {
    const alive = ({ pid, startedAt }: { pid: number; startedAt: string }) => pid === 7 && startedAt === "99";
    expect(isLeftover(of("b1.n1.7.99.ab"), here, alive)).toBe(false);
    expect(isLeftover(of("b1.n1.7.98.ab"), here, alive)).toBe(true);
  });

  it("is everything from before a reboot", () => {
    expect(isLeftover(of("b0.n1.7.99.ab"), here, () => true)).toBe(true);
  });

  it("is nothing that cannot be judged from here: another machine's, another container's, or no owner's", () => {
    expect(isLeftover(of("b1.n1.7.99.ab", "m2"), here, dead)).toBe(false);
    expect(isLeftover(of("b1.n2.7.99.ab"), here, dead)).toBe(false);
    expect(isLeftover(of(""), here, dead)).toBe(false);
  });
});
