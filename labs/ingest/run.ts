import { main } from "../../harness/cli.ts";

await main(["lab", "ingest", ...process.argv.slice(2)]);
