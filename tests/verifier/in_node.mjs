// Runs the script of the one-file verifier under Node.js, as it stands in the HTML file.
// node in_node.mjs PAGE: takes one question a line (JSON) and answers each with one line.
//   {"bundle": base64 of the file, "trust": entries, "moment": µs as text, "maxAge": µs as text or null, "rpc": URL or null}
//   {"merkle": {"place": n, "size": n, "path": [hex], "entry": hex}} answers the root in hex, or null
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import vm from "node:vm";

const page = readFileSync(process.argv[2], "utf8");
const script = /<script id="verifier">\n(.*?)\n<\/script>/s.exec(page)[1];
vm.runInThisContext(`${script}\nglobalThis.verifier = { verify, rootFromPath, leafHash, unhex, hex, nodeAt };`);
const { verify, rootFromPath, leafHash, unhex, hex, nodeAt } = globalThis.verifier;

async function answer(question) {
  if (question.merkle) {
    const { place, size, path, entry } = question.merkle;
    const root = await rootFromPath(place, size, path.map(unhex), await leafHash(unhex(entry)));
    return root === null ? null : hex(root);
  }
  const found = await verify(new Uint8Array(Buffer.from(question.bundle, "base64")), {
    trusted: question.trust,
    moment: BigInt(question.moment),
    maxAge: question.maxAge === null ? null : BigInt(question.maxAge),
    node: question.rpc ? nodeAt(question.rpc) : null,
  });
  return { verdict: found.verdict, proofState: found.proofState, checks: found.checks.map(({ code, outcome, reason, record }) => [code, outcome, reason, record]) };
}

for await (const line of createInterface({ input: process.stdin })) {
  let told;
  try {
    told = await answer(JSON.parse(line));
  } catch (error) {
    told = { crash: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
