import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { conduct } from "../../harness/experiment.ts";
import type { Lab } from "../../harness/lab.ts";
import { readRecord } from "../../harness/record/file.ts";
import type { RunRecord } from "../../harness/record/record.ts";
import type { Stack } from "../../harness/stack/stack.ts";
import { resolveSubject } from "../../harness/subject/resolve.ts";
import { sharedStack } from "../../harness/testing.ts";
import lab from "./lab.ts";
import { shortOperation } from "./operation.ts";

const projectFolder = fileURLToPath(new URL("../..", import.meta.url));
let stack: Stack;
beforeAll(async () => {
  stack = await sharedStack();
});

/** The commands of the runbook, a block each, as they stand in the README. */
function runbook(): string[] {
  const readme = readFileSync(new URL("./README.md", import.meta.url), "utf8");
  const [, section = ""] = /^## Runbook$([\s\S]*?)^## /m.exec(readme) ?? [];
  return [...section.matchAll(/^```bash\n([\s\S]*?)^```$/gm)].map(([, block = ""]) => block);
}

test("the runbook's commands do what it says, as they stand in the README", async () => {
  const blocks = runbook();
  expect(blocks.length).toBeGreaterThanOrEqual(6);
  const names = blocks.map((_, i) => `block ${i + 1}`);
  const { arms: _, ...scenario } = lab.proof ?? lab.profiles.quick;
  const operation: NonNullable<typeof scenario.operation> = {
    ...shortOperation,
    steps: blocks.map((block, i) => ({
      name: names[i] ?? "",
      args: () => [block],
      awaits: "SELECT NOT EXISTS (SELECT FROM dead_letters WHERE state = 'replaying')",
      looks: ["letters", "effects", "audit"],
    })),
  };
  const withRunbook: Lab = { ...lab, profiles: { ...lab.profiles, quick: { ...scenario, operation } } };
  const outcome = await conduct({
    lab: withRunbook,
    subject: { ...resolveSubject(lab.home, "solution", []), operator: ["bash", "-euo", "pipefail", "-c"] },
    profile: "quick",
    seed: 4711,
    stack,
    out: fileURLToPath(new URL("../../reports/.proof", import.meta.url)),
    draw: false,
    command: "the runbook",
    cwd: projectFolder,
    onProgress: () => undefined,
  });
  const { operation: steps = [] } = (await readRecord(outcome.folder)) as RunRecord;
  expect(steps.map(({ name, code, stderr, awaited }) => [name, code, stderr, awaited])).toEqual(
    names.map((name) => [name, 0, "", true]),
  );
  const looks = steps.at(-1)?.looks;
  const states = (looks?.letters ?? []).map(([, , , , className, state]) => `${className} ${state}`);
  // What could be sent again was, but for what the gateway refuses for good; what nobody wants is gone.
  expect(states).toContain("malformed resolved");
  expect(states).toContain("refused resolved");
  expect(states.filter((one) => one.startsWith("exhausted") || one.startsWith("too-large"))).not.toContain(
    expect.stringContaining("dead"),
  );
  expect(new Set(states.filter((one) => one.startsWith("exhausted")))).toEqual(
    new Set(["exhausted resolved"]),
  );
  expect(new Set(states.filter((one) => one.startsWith("too-large")))).toEqual(new Set(["too-large purged"]));
  expect((looks?.effects ?? []).filter(([, count]) => count !== "1")).toEqual([]);
  expect(new Set((looks?.audit ?? []).map(([, operation_]) => operation_))).toEqual(
    new Set(["replay", "edit", "purge"]),
  );
});
