"""Three languages, one answer: inclusion proofs as Python, Solidity and the browser's JavaScript judge them."""
