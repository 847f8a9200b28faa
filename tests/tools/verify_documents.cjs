// TradeTrust's own verifier on its own documents: wraps them, issues their root on a DocumentStore of its own package,
// and verifies each one. Arguments: the node's URL, the number of documents. Prints one JSON object.
//
// Integrity and status alone: who a document's issuer is stands in the DNS, which nobody asks here.
//
// The store is version 2.7.0 of its package: with the newer @trustvc/document-store this version of the verifier finds
// no document at all valid, since it gives that store's isIssued(bytes32,bytes32,bytes32[]) hashes without 0x.
const { providers } = require("ethers");
const { wrapDocuments } = require("@tradetrust-tt/tradetrust");
const { DocumentStoreFactory } = require("@tradetrust-tt/document-store");
const {
  isValid, openAttestationEthereumDocumentStoreStatus, openAttestationHash, verificationBuilder,
} = require("@tradetrust-tt/tt-verify");

const ROUNDS = 3;
const TYPES = ["DOCUMENT_INTEGRITY", "DOCUMENT_STATUS"];

function aDocument(number, store) {
  const identityProof = { type: "DNS-TXT", location: "chamber.example" };
  return {
    certificateNumber: `C-${number}`,
    exporter: { name: "Morning Star Trading Co., Ltd." },
    consignee: { name: "Harbour Foods GmbH" },
    goodsDescription: "Green tea",
    hsCode: "090210",
    originCountry: "CN",
    quantity: String(number + 1),
    unitCode: "KGM",
    transportDetails: "By sea",
    issueDate: "2026-03-02",
    issuers: [{ name: "Chamber", documentStore: store, identityProof }],
  };
}

async function issued(signer, count) {
  const store = await new DocumentStoreFactory(signer).deploy("Documents", await signer.getAddress());
  await store.deployed();
  const documents = wrapDocuments(Array.from({ length: count }, (_, number) => aDocument(number, store.address)));
  await (await store.issue("0x" + documents[0].signature.merkleRoot)).wait();
  return documents;
}

async function countValid(documents, verify) {
  let valid = 0;
  for (const one of documents) {
    valid += isValid(await verify(one), TYPES) ? 1 : 0;
  }
  return valid;
}

// A document whose quantity was raised after it was issued.
function tampered(document) {
  const copy = structuredClone(document);
  copy.data.quantity += "0";
  return copy;
}

// Another document under a root that nobody issued.
function unissued(store) {
  return wrapDocuments([aDocument(999_999, store), aDocument(999_998, store)])[0];
}

async function main(url, count) {
  const provider = new providers.StaticJsonRpcProvider(url);
  const documents = await issued(provider.getSigner(0), count);
  const verify = verificationBuilder([openAttestationHash, openAttestationEthereumDocumentStoreStatus], { provider });
  let best = Infinity;
  let valid = count;
  for (let round = 0; round < ROUNDS; round += 1) {
    const begun = performance.now();
    valid = Math.min(valid, await countValid(documents, verify));
    best = Math.min(best, performance.now() - begun);
  }
  const store = documents[0].data.issuers[0].documentStore.split(":").pop();
  const wrongs = { tampered: tampered(documents[0]), unissued: unissued(store) };
  const taken = [];
  for (const [name, wrong] of Object.entries(wrongs)) {
    if (isValid(await verify(wrong), TYPES)) {
      taken.push(name);
    }
  }
  console.log(JSON.stringify({ documents: count, valid, taken, perSecond: count / (best / 1000) }));
}

main(process.argv[2], Number(process.argv[3])).catch((fault) => {
  console.error(fault);
  process.exit(1);
});
