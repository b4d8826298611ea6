import { main } from "../../harness/cli.ts";

await main(["lab", "dlq", ...process.argv.slice(2)]);
