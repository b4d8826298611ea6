/** The contract suite over containers. */
import { describe } from "vitest";
import { openStack } from "../choose.ts";
import { stackContract } from "../contract.ts";
import { findEngine } from "./engine.ts";
import { whyNotHere } from "./testing.ts";

const notHere = await whyNotHere();

/** Docker Desktop's servers are processes of its own machine, a rootless engine's of its own namespace. */
async function seesProcesses(): Promise<boolean> {
  const { docker, host } = await findEngine();
  const { SecurityOptions } = (await docker.info()) as { readonly SecurityOptions?: readonly string[] };
  const rootless = SecurityOptions?.some((option) => option.includes("rootless")) ?? false;
  return process.platform === "linux" && host === "127.0.0.1" && !rootless;
}

const seen = notHere === undefined && (await seesProcesses());

describe.skipIf(notHere !== undefined)("contract", () => {
  stackContract(
    "containers",
    () => openStack({ kind: "containers" }),
    () => seen,
  );
});
