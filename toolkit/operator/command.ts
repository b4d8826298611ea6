/** `dlq list|show|replay|edit|purge|audit|serve`: the operator's tool on the command line. */
import { readFile } from "node:fs/promises";
import { Command } from "commander";
import { deadLetterSchema } from "../delivery/dead-letter-schema.ts";
import * as operate from "../delivery/operate.ts";
import { type Publish, replay } from "../delivery/replay.ts";
import { ensureSchema } from "../postgres/ensure-schema.ts";
import { type Database, openPostgres } from "../postgres/open.ts";
import { workerEnv } from "../worker/env.ts";
import {
  collected,
  duration,
  type FilterOptions,
  filterOf,
  letterId,
  positive,
  stateName,
} from "./filters.ts";
import { auditLines, letterLines, listLines } from "./tables.ts";

/** What the tool does; a pitfall of the dlq lab replaces one. */
export const operations = {
  list: operate.list,
  show: operate.show,
  purge: operate.purge,
  edit: operate.edit,
  audit: operate.audit,
  replay,
};
export type Operations = typeof operations;

interface Common extends FilterOptions {
  readonly json?: boolean;
  readonly dryRun?: boolean;
  readonly actor?: string;
  readonly reason?: string;
  readonly all?: boolean;
}

/**
 * Runs one command. Writes its result to stdout: lines for people, or with `--json` one JSON object.
 * @param args without program and script
 * @returns the exit code: 0 done, 1 refused or failed, 2 wrong usage
 */
export async function operator(args: readonly string[], does: Operations = operations): Promise<number> {
  const program = new Command("dlq").description("Inspect, replay or purge dead letters.").exitOverride();
  const withDatabase = async (work: (db: Database) => Promise<void>): Promise<void> => {
    const db = openPostgres(workerEnv().databaseUrl, { statementTimeoutMs: 60_000 });
    try {
      await ensureSchema(db, deadLetterSchema);
      await work(db);
    } finally {
      await db.end();
    }
  };
  const withKafka = (work: (db: Database, publish: Publish) => Promise<void>): Promise<void> =>
    withDatabase(async (db) => {
      // Only what publishes pays for the client.
      const { openPublisher } = await import("../kafka/publisher.ts");
      const publisher = await openPublisher(workerEnv().kafkaBrokers);
      try {
        await work(db, publisher.publish);
      } finally {
        await publisher.close();
      }
    });
  const filtered = (command: Command): Command =>
    command
      .option("--class <name>", "only this class; may be repeated", collected)
      .option("--topic <name>", "only from this topic")
      .option("--state <name>", "dead, replaying, resolved or purged; may be repeated", stateName)
      .option("--older-than <duration>", "first failed at least so long ago: 90s, 5m, 2h, 1d", duration)
      .option("--younger-than <duration>", "first failed at most so long ago", duration)
      .option("--json", "one JSON object");

  filtered(program.command("list").description("Letters without their bytes, oldest first."))
    .option("--limit <n>", "letters shown", positive, 1_000)
    .option("--ids", "only the letters' ids, one a line")
    .action((options: Common & { limit: number; ids?: boolean }) =>
      withDatabase(async (db) => {
        const found = await does.list(db, filterOf([], options), options.limit);
        say(options, found, () =>
          options.ids === true ? found.letters.map(({ id }) => id) : listLines(found.letters, found.total),
        );
      }),
    );

  program
    .command("show")
    .description("One letter with its bytes, headers and history.")
    .argument("<id>", "the letter", letterId)
    .option("--json", "one JSON object; bytes in base64")
    .action((id: string, options: Common) =>
      withDatabase(async (db) => {
        const letter = await does.show(db, id);
        if (letter === undefined) throw new Error(`there is no letter ${id}`);
        say(options, jsonLetter(letter), () => letterLines(letter));
      }),
    );

  filtered(program.command("replay").description("Send letters to the topic they came from."))
    .argument("[ids...]", "letters; without any, all that the filters find")
    .option("--all", "all dead letters, without an id or a filter")
    .option("--actor <who>", "for the audit trail", process.env.USER ?? "unknown")
    .option("--reason <why>", "for the audit trail", "replay")
    .option("--rate <n>", "letters a second", positive, 100)
    .option("--max-replays <n>", "leave alone what was replayed this often", positive, 3)
    .option("--dry-run", "only say what would be done")
    .action((ids: string[], options: Common & { rate: number; maxReplays: number }) =>
      withKafka(async (db, publish) => {
        const result = await does.replay(db, chosen(ids, options), {
          publish,
          ...responsibleOf(options),
          perSecond: options.rate,
          maxReplays: options.maxReplays,
          dryRun: options.dryRun === true,
        });
        say(options, result, () => [
          `${options.dryRun === true ? "would replay" : "replayed"} ${result.replayed.length}, resumed ${result.resumed.length}, ` +
            `left ${result.capped.length} that were replayed ${options.maxReplays} times or more` +
            (result.refused.length === 0 ? "" : `; the broker refused ${result.refused.length}, dead again`),
        ]);
      }),
    );

  program
    .command("edit")
    .description("Keep other bytes beside the original ones, for the next replay.")
    .argument("<id>", "the letter", letterId)
    .option("--file <path>", "the new bytes")
    .option("--value <text>", "the new bytes as text")
    .requiredOption("--actor <who>", "who does this")
    .requiredOption("--reason <why>", "why")
    .option("--json", "one JSON object")
    .action((id: string, options: Common & { file?: string; value?: string }) =>
      withDatabase(async (db) => {
        if ((options.file === undefined) === (options.value === undefined)) {
          throw new Error("the new bytes are needed: --file or --value");
        }
        const bytes = Buffer.from(options.value ?? (await readFile(options.file ?? "")));
        const result = await does.edit(db, id, bytes, responsibleOf(options));
        if (result.edited.length === 0) throw new Error(`letter ${id} is not there, or not dead`);
        say(options, result, () => [`letter ${id} will be replayed with the new bytes`]);
      }),
    );

  filtered(
    program.command("purge").description("Throw the bytes of dead letters away; what they were stays."),
  )
    .argument("[ids...]", "letters; without any, all that the filters find")
    .option("--all", "all dead letters, without an id or a filter")
    .option("--actor <who>", "who does this (needed)")
    .option("--reason <why>", "why (needed)")
    .option("--dry-run", "only say what would be done")
    .action((ids: string[], options: Common) =>
      withDatabase(async (db) => {
        const isDry = options.dryRun === true;
        const result = await does.purge(db, chosen(ids, options), responsibleOf(options), isDry);
        say(options, result, () => [`${isDry ? "would purge" : "purged"} ${result.purged.length}`]);
      }),
    );

  program
    .command("audit")
    .description("Who did what, when and why; newest first.")
    .option("--json", "one JSON object")
    .option("--limit <n>", "entries shown", positive, 1_000)
    .action((options: Common & { limit: number }) =>
      withDatabase(async (db) => {
        const entries = await does.audit(db, options.limit);
        say(options, { entries }, () => auditLines(entries));
      }),
    );

  program
    .command("serve")
    .description("A page on 127.0.0.1 that does all of this.")
    .option("--port <n>", "where; any that is free by default", positive, 0)
    .action(({ port }: { port: number }) =>
      withKafka(async (db, publish) => {
        const { servePage } = await import("./page/serve.ts");
        const page = await servePage({ db, publish, does }, port);
        process.stdout.write(`${page.url}\n`);
        await new Promise((resolve) => {
          process.once("SIGINT", resolve);
          process.once("SIGTERM", resolve);
        });
        await page.close();
      }),
    );

  try {
    await program.parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof Error && "exitCode" in error) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    return 1;
  }
}

/** What is to be changed. Nobody changes everything by forgetting a word. */
function chosen(ids: readonly string[], options: Common): operate.Filter {
  const filter = filterOf(ids, options);
  if (Object.keys(filter).length === 0 && options.all !== true) {
    throw new Error("which letters? Name them, give a filter, or say --all");
  }
  return filter;
}

const responsibleOf = ({ actor = "", reason = "" }: Common): operate.Responsible => ({ actor, reason });

function say(options: Common, value: unknown, lines: () => string[]): void {
  process.stdout.write(options.json === true ? `${JSON.stringify(value)}\n` : `${lines().join("\n")}\n`);
}

function jsonLetter(letter: operate.Letter): unknown {
  const base64 = (bytes: Buffer | null) => bytes?.toString("base64") ?? null;
  return {
    ...letter,
    key: base64(letter.key),
    value: base64(letter.value),
    editedValue: base64(letter.editedValue),
  };
}
