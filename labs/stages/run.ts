import { main } from "../../harness/cli.ts";

await main(["lab", "stages", ...process.argv.slice(2)]);
