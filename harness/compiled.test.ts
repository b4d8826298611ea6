import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { compileChanged, compiledCommand, openMirror } from "./compiled.ts";

const modules = fileURLToPath(new URL("../node_modules", import.meta.url));

/** A project with one program that prints what its neighbour says. */
function projectSaying(word: string) {
  const home = mkdtempSync(join(tmpdir(), "sluice-mirror-"));
  onTestFinished(() => rmSync(home, { recursive: true }));
  mkdirSync(join(home, "src"));
  mkdirSync(join(home, "node_modules"));
  symlinkSync(join(modules, "tsx"), join(home, "node_modules", "tsx"));
  const say = (text: string) => writeFileSync(join(home, "src", "word.ts"), text);
  const program = join(home, "src", "program.ts");
  writeFileSync(join(home, "package.json"), '{"type": "module"}');
  writeFileSync(
    program,
    'import { word } from "./word.ts";\nif (word === "fail") throw new Error(word);\nconsole.log(word as string);\n',
  );
  say(`export const word: string = "${word}";\n`);
  const mirror = openMirror(home, ["src"]);
  const run = () => {
    const compiled = mirror.compiled(program);
    const args = compiled === undefined ? ["--import", "tsx", program] : ["--enable-source-maps", compiled];
    return spawnSync(process.execPath, args, { cwd: home, encoding: "utf8" });
  };
  return { mirror, program, say, run };
}

test("a program runs from its mirror, with what its neighbours say now", async () => {
  const { mirror, program, say, run } = projectSaying("one");
  await mirror.update();
  expect(mirror.compiled(program)).toMatch(/program\.js$/);
  expect(run().stdout).toBe("one\n");
  say('export const word: string = "another";\n');
  await mirror.update();
  expect(run().stdout).toBe("another\n");
});

test("what a program reads beside it is there, and as it is now", async () => {
  const { mirror, program } = projectSaying("one");
  const write = (text: string) => writeFileSync(join(dirname(program), "page.html"), text);
  const seen = () => readFileSync(join(dirname(mirror.compiled(program) ?? ""), "page.html"), "utf8");
  write("<p>one");
  await mirror.update();
  expect(seen()).toBe("<p>one");
  write("<p>another");
  await mirror.update();
  expect(seen()).toBe("<p>another");
});

test("an error tells the line of the TypeScript", async () => {
  const { mirror, run } = projectSaying("fail");
  await mirror.update();
  expect(run().stderr).toMatch(/src.program\.ts:2/);
});

test("an error of syntax in any file hands all to tsx, which names it; mended, all is compiled again", async () => {
  const { mirror, program, say, run } = projectSaying("one");
  await mirror.update();
  say("export const word: string = ;\n");
  await mirror.update();
  expect(mirror.compiled(program)).toBeUndefined();
  expect(run().stderr).toMatch(/word\.ts:1/);
  say('export const word: string = "two";\n');
  await mirror.update();
  expect(run().stdout).toBe("two\n");
});

test("a package that is one file needs no other, and is made anew after an install", async () => {
  const home = mkdtempSync(join(tmpdir(), "sluice-mirror-"));
  onTestFinished(() => rmSync(home, { recursive: true }));
  const installed = join(home, "node_modules");
  for (const folder of [join(home, "src"), installed]) mkdirSync(folder);
  writeFileSync(join(home, "package.json"), '{"type": "module"}');
  symlinkSync(join(modules, "pg"), join(installed, "pg"));
  const program = join(home, "src", "program.ts");
  writeFileSync(program, 'import pg from "pg";\nconsole.log(pg.escapeIdentifier("a"));\n');
  const mirror = openMirror(home, ["src"], ["pg"]);
  await mirror.update();
  rmSync(join(installed, "pg"));
  const compiled = mirror.compiled(program) ?? "";
  expect(spawnSync(process.execPath, [compiled], { encoding: "utf8" })).toMatchObject({
    stdout: '"a"\n',
    stderr: "",
  });
  const bundle = join(installed, ".cache", "sluice", "packages", "pg.js");
  truncateSync(bundle);
  await mirror.update();
  expect(readFileSync(bundle, "utf8")).toBe("");
  symlinkSync(join(modules, "pg"), join(installed, "pg"));
  writeFileSync(join(installed, ".package-lock.json"), "{}");
  await mirror.update();
  expect(readFileSync(bundle, "utf8")).not.toBe("");
});

test("only programs of the project are replaced in a command: all others are as the user wrote them", async () => {
  await compileChanged();
  const own = [process.execPath, "--import", "tsx", "labs/ingest/solution.ts", "--flag"];
  expect(compiledCommand(own)).toEqual([
    process.execPath,
    "--enable-source-maps",
    expect.stringMatching(/solution\.js$/),
    "--flag",
  ]);
  for (const command of [
    ["python3", "worker.py"],
    ["node", "--import", "tsx", "--import", "./hook.mjs", "labs/ingest/solution.ts"],
    ["node", "--import", "tsx", "/elsewhere/worker.ts"],
  ])
    expect(compiledCommand(command)).toBe(command);
});
