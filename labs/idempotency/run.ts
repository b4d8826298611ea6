import { main } from "../../harness/cli.ts";

await main(["lab", "idempotency", ...process.argv.slice(2)]);
