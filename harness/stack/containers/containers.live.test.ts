/** The contract suite over containers, and over the external stack in front of the same servers. */
import { describe } from "vitest";
import { openStack } from "../choose.ts";
import { stackContract } from "../contract.ts";
import { whyNotHere } from "./testing.ts";

const notHere = await whyNotHere();

describe.skipIf(notHere !== undefined)("contract", () => {
  stackContract(
    "containers",
    () => openStack({ kind: "containers" }),
    // Docker Desktop's servers are processes of its own machine.
    () => process.platform === "linux",
  );
});
