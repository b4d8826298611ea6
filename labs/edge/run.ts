import { main } from "../../harness/cli.ts";

await main(["lab", "edge", ...process.argv.slice(2)]);
