// Asks the browser's own code: the script of the one-file verifier, as it stands in the HTML file.
// node judge.mjs PAGE: a question a line, [root, size, place, leaf, path], hashes in hex; 1 or 0 a line where it is included or not.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import vm from "node:vm";

const script = /<script id="verifier">\n(.*?)\n<\/script>/s.exec(readFileSync(process.argv[2], "utf8"))[1];
vm.runInThisContext(`${script}\nglobalThis.verifier = { rootFromPath, hex };`);
const { rootFromPath, hex } = globalThis.verifier;
const bytes = (text) => new Uint8Array(Buffer.from(text, "hex"));

const said = [];
for await (const line of createInterface({ input: process.stdin })) {
  const [root, size, place, leaf, path] = JSON.parse(line);
  const found = await rootFromPath(place, size, path.map(bytes), bytes(leaf));
  said.push(found !== null && hex(found) === root ? "1" : "0");
}
process.stdout.write(said.join(""));
