import { main } from "../../harness/cli.ts";

await main(["lab", "backoff", ...process.argv.slice(2)]);
