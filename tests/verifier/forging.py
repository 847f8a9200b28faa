"""Forgers' work, seeded: a valid bundle changed in one of many ways, so that it says what nobody signed or proved."""

import copy
import json
import random
from dataclasses import dataclass, replace
from typing import Any

from backend.domain import sd_jwt
from backend.domain.sd_jwt import HALF_ORDER
from tests.helpers.builders import signed_text
from tests.verifier.samples import STRANGER, Sample
from tests.verifier.verifiers import Question

LETTERS = "0123456789abcdefABCDEFghijkXYZ-_~.=+ "
VALUES = [None, True, False, 0, 1, -1, 2**53 - 1, 1.5, "", "0", "x", [], {}, [[]], {"a": 1}, "0" * 64, "~", "00"]
ORDER = 2 * HALF_ORDER + 1


@dataclass
class Forger:
    """Takes valid samples and makes forged files of them, each with the name of what was done."""

    samples: list[Sample]
    chance: random.Random

    def __post_init__(self) -> None:
        self._texts = [sample.content for sample in self.samples]
        self._values = [json.loads(text) for text in self._texts]
        self._ways = [self.values, self.values, self.bytes_, self.signature, self.payload, self.disclosure]
        self._ways += [
            self.stranger,
            self.proof,
            self.entry,
            self.snapshot,
            self.snapshot,
            self.another_snapshot,
            self.anchor,
        ]

    def forged(self) -> tuple[str, Question]:
        """One forged file; what it says differs from what was signed, or it is no bundle any more."""
        while True:
            number = self.chance.randrange(len(self.samples))
            way = self.chance.choice(self._ways)
            made = way(number)
            content = made if isinstance(made, bytes) else json.dumps(made, separators=(",", ":")).encode()
            if not self._says_the_same(content, number):
                return way.__name__, self.samples[number].question(content=content)

    def _says_the_same(self, content: bytes, number: int) -> bool:
        """Whether nothing was changed that anybody signed: spaces between members, or fields withheld."""
        if content == self._texts[number]:
            return True
        try:
            found = json.loads(content)
        except ValueError:
            return False
        original = self._values[number]
        if found == original:
            return True
        try:
            shown = [set(one["record"].split("~")[1:]) for one in found["records"]]
            all_shown = [set(one["record"].split("~")[1:]) for one in original["records"]]
            jwts = [one.pop("record").split("~")[0] for one in found["records"]]
            rest = [{k: v for k, v in one.items() if k != "record"} for one in original["records"]]
        except (KeyError, TypeError, AttributeError):
            return False
        is_less = all(some <= every for some, every in zip(shown, all_shown, strict=False))
        same_jwts = jwts == [one["record"].split("~")[0] for one in original["records"]]
        return is_less and same_jwts and found == {**original, "records": rest}

    # ---- ways

    def values(self, number: int) -> Any:
        """One to three members, elements or letters changed anywhere."""
        mutated = copy.deepcopy(self._values[number])
        for _ in range(self.chance.choice([1, 1, 1, 2, 3])):
            holder, key = self._somewhere(mutated)
            value, how = holder[key], self.chance.randint(0, 6)
            if how <= 3 and isinstance(value, str) and value:
                holder[key] = self._respelled(value)
            elif how <= 3 and isinstance(value, int):
                holder[key] = value + self.chance.choice([-1, 1, 64, -value])
            elif how == 4 and isinstance(value, list) and len(value) > 1:
                self.chance.shuffle(value)
            elif how == 5:
                del holder[key]
            else:
                holder[key] = copy.deepcopy(self.chance.choice(VALUES))
        return mutated

    def _somewhere(self, value: Any) -> tuple[Any, Any]:
        while True:
            keys = list(value) if isinstance(value, dict) else list(range(len(value)))
            key = self.chance.choice(keys) if keys else None
            if key is None:
                value = [0]
                continue
            inner = value[key]
            if not isinstance(inner, dict | list) or not inner or self.chance.random() < 0.15:
                return value, key
            value = inner

    def _respelled(self, text: str) -> str:
        at = self.chance.randrange(len(text))
        letter = self.chance.choice(["", self.chance.choice(LETTERS), text[at].swapcase(), text[at] * 2])
        return text[:at] + letter + text[at + 1 :]

    def bytes_(self, number: int) -> bytes:
        """One to three bytes changed, lost or repeated."""
        content = bytearray(self._texts[number])
        for _ in range(self.chance.randint(1, 3)):
            at = self.chance.randrange(len(content))
            match self.chance.randint(0, 2):
                case 0:
                    content[at] ^= 1 << self.chance.randrange(8)
                case 1:
                    del content[at]
                case 2:
                    content.insert(at, content[self.chance.randrange(len(content))])
        return bytes(content)

    def signature(self, number: int) -> Any:
        """The record's or the snapshot's signature altered: a bit, the other s, zero, or another's."""
        mutated = copy.deepcopy(self._values[number])
        one = self.chance.choice(mutated["records"])
        if self.chance.random() < 0.5:
            jwt, *fields = one["record"].split("~")
            one["record"] = "~".join([self._resigned(jwt), *fields])
        else:
            mutated["snapshot"] = self._resigned(mutated["snapshot"])
        return mutated

    def _resigned(self, text: str) -> str:
        signed, _, signature = text.rpartition(".")
        raw = bytearray(sd_jwt.unb64(signature))
        match self.chance.randint(0, 3):
            case 0:
                raw[self.chance.randrange(64)] ^= 1 << self.chance.randrange(8)
            case 1:
                raw[32:] = (ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
            case 2:
                raw[32 * self.chance.randint(0, 1) :][:32] = bytes(32)
                raw[:32] = bytes(32)
            case 3:
                raw = bytearray(self.chance.randbytes(64))
        return f"{signed}.{sd_jwt.b64(bytes(raw))}"

    def payload(self, number: int) -> Any:
        """What was signed says something else, under the old signature."""
        mutated = copy.deepcopy(self._values[number])
        one = self.chance.choice(mutated["records"])
        jwt, *fields = one["record"].split("~")
        header, payload, signature = jwt.split(".")
        part = self.chance.randint(0, 1)
        pieces = [header, payload]
        inner = json.loads(sd_jwt.unb64(pieces[part]))
        holder, key = self._somewhere(inner)
        value = holder[key]
        holder[key] = self._respelled(value) if isinstance(value, str) and value else self.chance.choice(VALUES)
        pieces[part] = sd_jwt.b64(json.dumps(inner).encode())
        one["record"] = "~".join([".".join([*pieces, signature]), *fields])
        return mutated

    def disclosure(self, number: int) -> Any:
        """A field with another value, name or salt; a field of another record; a field twice."""
        mutated = copy.deepcopy(self._values[number])
        one = self.chance.choice(mutated["records"])
        jwt, *fields, end = one["record"].split("~")
        if not fields:
            fields = ["WyJhIiwiYiIsMV0"]
        at = self.chance.randrange(len(fields))
        match self.chance.randint(0, 3):
            case 0:
                field = json.loads(sd_jwt.unb64(fields[at]))
                field[self.chance.randint(0, 2)] = self.chance.choice(["x", "500", "CN", "quantity", "originCountry"])
                fields[at] = sd_jwt.b64(json.dumps(field, ensure_ascii=False).encode())
            case 1:
                fields.append(fields[at])
            case 2:
                other = self.chance.choice(self._values)["records"][0]["record"].split("~")[1:-1]
                fields[at] = self.chance.choice(other or ["WyJhIiwiYiIsMV0"])
                fields.append("WyJhIiwiYiIsMV0")
            case 3:
                fields[at] = self._respelled(fields[at])
        one["record"] = "~".join([jwt, *fields, end])
        return mutated

    def stranger(self, number: int) -> Any:
        """The same words signed by a key that nobody accredited, under its own name or under the issuer's."""
        mutated = copy.deepcopy(self._values[number])
        one = self.chance.choice(mutated["records"])
        jwt, *fields = one["record"].split("~")
        header, payload = (json.loads(sd_jwt.unb64(part)) for part in jwt.split(".")[:2])
        header["jwk"] = STRANGER.jwk
        if self.chance.random() < 0.5:
            header["kid"] = sd_jwt.b64(STRANGER.thumbprint)
        one["record"] = "~".join([signed_text(header, payload, STRANGER), *fields])
        return mutated

    def proof(self, number: int) -> Any:
        """Another leaf index, tree size or path."""
        mutated = copy.deepcopy(self._values[number])
        one = self.chance.choice(mutated["records"])
        proof, how = one["proof"], self.chance.randint(0, 5)
        path = proof["inclusionPath"]
        if how == 0:
            proof["leafIndex"] = self.chance.choice(
                [0, 1, proof["leafIndex"] + 1, proof["leafIndex"] ^ 1, proof["treeSize"], 2**40]
            )
        elif how == 1:
            proof["treeSize"] = self.chance.choice(
                [0, 1, proof["treeSize"] + 1, proof["treeSize"] * 2, proof["treeSize"] - 1]
            )
        elif how == 2 and path:
            path[self.chance.randrange(len(path))] = self.chance.randbytes(32).hex()
        elif how == 3 and path:
            path.pop(self.chance.randrange(len(path)))
        elif how == 4:
            path.insert(self.chance.randint(0, len(path)), self.chance.randbytes(32).hex())
        else:
            one["proof"] = copy.deepcopy(self.chance.choice(self._values)["records"][0]["proof"])
        return mutated

    def entry(self, number: int) -> Any:
        """Another kind or quantity."""
        mutated = copy.deepcopy(self._values[number])
        entry = self.chance.choice(mutated["records"])["entry"]
        if self.chance.random() < 0.5:
            entry["kind"] = self.chance.choice([1, 2, 3, 4, 0, 9])
        else:
            entry["quantity"] = str(self.chance.choice([0, 1, 2**128 - 1, int(entry["quantity"]) + 1]))
        return mutated

    def snapshot(self, number: int) -> Any:
        """What the ledger is said to have held, altered under the old signature or signed by a stranger."""
        sample = self.samples[number]
        mutated = copy.deepcopy(self._values[number])
        if self.chance.random() < 0.3:
            reading = replace(sample.stated.readings[0], status=self.chance.randint(0, 3))
            stated = replace(sample.stated, readings=(reading, *sample.stated.readings[1:]))
            mutated["snapshot"] = sample.stating(stated, STRANGER).bundle.snapshot
            return mutated
        header, payload, signature = mutated["snapshot"].split(".")
        stated = json.loads(sd_jwt.unb64(payload))
        holder, key = self._somewhere(stated)
        value = holder[key]
        holder[key] = self._respelled(value) if isinstance(value, str) and value else self.chance.choice(VALUES)
        changed = sd_jwt.b64(json.dumps(stated, separators=(",", ":")).encode())
        mutated["snapshot"] = f"{header}.{changed}.{signature}"
        return mutated

    def another_snapshot(self, number: int) -> Any:
        """A genuine snapshot about another record, or none."""
        mutated = copy.deepcopy(self._values[number])
        mutated["snapshot"] = self.chance.choice([None, self.chance.choice(self._values)["snapshot"]])
        return mutated

    def anchor(self, number: int) -> Any:
        """Anchored elsewhere: another chain, ledger, deployment, root, transaction, block or time."""
        mutated = copy.deepcopy(self._values[number])
        anchor = self.chance.choice(mutated["records"])["anchor"]
        name = self.chance.choice(list(anchor))
        value = anchor[name]
        anchor[name] = self._respelled(value) if isinstance(value, str) else value + self.chance.choice([-1, 1, 1000])
        return mutated


def flipped(content: bytes, at: int, bits: int | None = None) -> bytes:
    """The file with one byte changed: these bits of it, or a bit, or the case of a letter."""
    bits = bits or (0x20 if at % 2 else 1)
    return content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :]
