import { main } from "../../harness/cli.ts";

await main(["lab", "backpressure", ...process.argv.slice(2)]);
