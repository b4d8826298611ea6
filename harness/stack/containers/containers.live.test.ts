/** The contract suite over containers. */
import { describe } from "vitest";
import { openStack } from "../choose.ts";
import { stackContract } from "../contract.ts";
import { seesProcesses, whyNotHere } from "./testing.ts";

const notHere = await whyNotHere();

const seen = notHere === undefined && (await seesProcesses());

describe.skipIf(notHere !== undefined)("contract", () => {
  stackContract(
    "containers",
    () => openStack({ kind: "containers" }),
    () => seen,
  );
});
