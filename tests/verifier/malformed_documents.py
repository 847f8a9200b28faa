"""Odd papers, properly signed and sealed, seeded: whatever such a bundle is, the verifiers must call it the same.

An accredited issuer may sign anything. Here it signs papers whose claims, fields, header or spelling of JSON are odd,
in every way that two programs might read differently; proof, anchor and snapshot are then made to fit.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from backend.domain import sd_jwt
from backend.domain.kinds import KINDS, Kind
from backend.domain.ledger import Accreditation
from backend.domain.sd_jwt import HALF_ORDER
from tests.helpers.builders import (
    CHAMBER,
    FIELDS,
    an_accreditation,
    header_of,
)
from tests.verifier.samples import Sample, a_sample
from tests.verifier.verifiers import Question

ODD: dict[str, Any] = json.loads(Path(__file__).with_name("odd_values.json").read_text(encoding="utf-8"))
ANYTHING = [*ODD["anything"], "x" * 5000, json.loads("[" * 61 + "]" * 61)]
DEEP = ["[" * deep + "]" * deep for deep in range(60, 66)] + ['{"a":' * 62 + "1" + "}" * 62]
QUANTITIES_SEALED = ["500", "500", "500", "0", "500.5", "0.001", "340282366920938463463374607431768211.455"]

Signed = tuple[sd_jwt.Record, Kind]


@dataclass
class Paper:
    """What an issuer signs, before it is written as JSON; ``sealed`` is the quantity that its entry carries."""

    kind: Kind
    header: dict[str, Any] = field(default_factory=header_of)
    claims: dict[str, Any] = field(default_factory=dict)
    open: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    sealed: str = "500"
    withheld: int = 0

    @classmethod
    def plain(cls, kind: Kind, **claims: Any) -> "Paper":
        """A paper as it should be."""
        named = {"type": ["VerifiableCredential", KINDS[kind].credential_type], "assurance": "issued"}
        named |= {"issuer": {"id": "urn:x", "name": "Zhejiang Chamber"}, "validFrom": "2026-03-02T10:00:00+00:00"}
        return cls(kind, claims=named | claims, fields=FIELDS[kind]())


def digest_of(signed: Signed) -> str:
    """By what a declaration names a record, whatever letters it is written in."""
    return sha256(signed[0].signed_jwt.encode()).hexdigest()


class OddIssuer:
    """An accredited issuer who signs papers of odd content; ``done`` tells what was odd in the bundle at hand."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._ways = [self.claim, self.claim, self.time, self.quantity, self.hs_code, self.field, self.name, self.lack]
        self._ways += [self.presented, self.header, self.key, self.digests, self.subject, self.withhold]
        self.done: list[str] = []

    def bundle(self) -> tuple[str, Question]:
        """A bundle of one odd paper, or of a declaration with its papers, and what was done."""
        self.done = []
        records, line = self._consignment() if self._is(0.3) else ([self._odd(Paper.plain(self._pick(list(Kind))))], [])
        sample = a_sample(records, size=self._pick([3, 4, 5, 8]), superseded=line, held=self._held())
        content = self._odd_member(sample) if len(records) == 1 and self._is(0.12) else sample.content
        return " + ".join(self.done), sample.question(content=content)

    def _pick(self, values: Sequence[Any]) -> Any:
        return self._chance.choice(values)

    def _is(self, share: float) -> bool:
        return self._chance.random() < share

    def _held(self) -> Accreditation | None:
        if self._is(0.7):
            return None
        chapters = self._pick([1 << 94, 2, 0, 1 << 99, 1 << 127, 2**128 - 1])
        return an_accreditation(chapters=chapters, kinds=self._pick([2**53 - 1, 254, 30, 2]))

    # ---- a consignment's papers

    def _consignment(self) -> tuple[list[Signed], list[str]]:
        papers = [self._odd(Paper.plain(kind)) for kind in (Kind.CERTIFICATE_OF_ORIGIN, Kind.INSPECTION_REPORT)]
        lodged = Paper.plain(Kind.DECLARATION)
        self._set(lodged, "records", self._named(*map(digest_of, papers)))
        line = self._replace(papers) if self._is(0.3) else []
        return [self._odd(lodged), *papers], line

    def _named(self, one: str, other: str) -> Any:
        """The list of papers that a declaration signs."""
        listed: list[Any] = [{"id": "1", "sha256": one}, {"sha256": other}]
        if self._is(0.6):
            return listed
        self.done.append("records")
        odd: list[Any] = [None, 1.0, "x", [], {}, listed[:1], [listed], [one, other], {"0": listed[0], "1": listed[1]}]
        odd += [listed[::-1], [*listed, listed[0]], [listed[0], *listed], [None, *listed, 5, [], "x"]]
        odd += [[{"SHA256": one}, listed[1]], [{"sha256": one.upper()}, *listed]]
        odd += [[{"sha256": value}, *listed] for value in (None, [one], "0" * 64, "", "\U0001f600")]
        return self._pick(odd)

    def _replace(self, papers: list[Signed]) -> list[str]:
        """Another paper stands in place of a named one, by signed links; the line that leads there, or an odd one."""
        self.done.append("line")
        number, line = self._pick([0, 1]), list[str]()
        for _ in range(self._pick([1, 2, 3])):
            digest = digest_of(papers[number])
            link = digest if self._is(0.8) else self._pick([[digest], {"sha256": digest}, digest.upper(), None, 5, ""])
            newer = Paper.plain(papers[number][1], supersedes=link)
            papers[number] = self._odd(newer) if self._is(0.2) else self._written(newer)
            line.insert(0, papers[number][0].signed_jwt)
        line = [text for text in line[1:] if text.isascii()]
        return line if self._is(0.8) else self._pick([[*line, "x.y.z"], line[::-1], [*line, *line], ["."], []])

    # ---- ways to be odd

    def _odd(self, paper: Paper) -> Signed:
        for _ in range(self._pick([0, 1, 1, 1, 2, 3])):
            way = self._pick(self._ways)
            way(paper)
            self.done.append(way.__name__)
        return self._written(paper, self._is(0.2))

    def _set(self, paper: Paper, name: str, value: Any) -> None:
        """A field of the subject, disclosed or in the open."""
        paper.fields.pop(name, None)
        leaf_index = paper.fields if self._is(0.7) else paper.open
        leaf_index[name] = value

    def claim(self, paper: Paper) -> None:
        """A claim of another type, or gone, or one more."""
        name = self._pick([*paper.claims, *paper.claims, "supersedes", "_sd_alg", "cnf", "vct", *ODD["names"]])
        paper.claims[name] = self._pick(ODD["claims"].get(name, ANYTHING) if self._is(0.6) else ANYTHING)
        if self._is(0.15):
            del paper.claims[name]

    def time(self, paper: Paper) -> None:
        """A time written in some other way, or of another type."""
        name = self._pick(["validFrom", "validUntil"])
        paper.claims[name] = self._pick(ODD["times"] if self._is(0.9) else ANYTHING)

    def quantity(self, paper: Paper) -> None:
        """A quantity that some programs would read as one."""
        self._set(paper, "quantity", self._pick(ODD["quantities"]))
        paper.sealed = self._pick(QUANTITIES_SEALED)

    def hs_code(self, paper: Paper) -> None:
        """A code that is none, or another chapter's."""
        self._set(paper, "hsCode", self._pick(ODD["hsCodes"]))

    def field(self, paper: Paper) -> None:
        """Any field with any value."""
        self._set(paper, self._pick([*paper.fields, "x"]), self._pick(ANYTHING))

    def name(self, paper: Paper) -> None:
        """A field of an odd name."""
        self._set(paper, self._pick(ODD["names"]), self._pick(ANYTHING))

    def lack(self, paper: Paper) -> None:
        """Fields that the form of its kind demands are not there."""
        gone = self._chance.sample(list(paper.fields), min(len(paper.fields), self._pick([1, 1, 1, 99])))
        paper.fields = {name: value for name, value in paper.fields.items() if name not in gone}

    def presented(self, paper: Paper) -> None:
        """Sealed as another kind."""
        if paper.kind is not Kind.DECLARATION:
            paper.kind = self._pick(list(Kind))

    def header(self, paper: Paper) -> None:
        """A member of the header that is odd, one more, or gone."""
        name = self._pick(list(ODD["header"]))
        paper.header[name] = self._pick(ODD["header"][name] if self._is(0.6) else ANYTHING)
        if self._is(0.1):
            del paper.header[name]

    def key(self, paper: Paper) -> None:
        """A key with members more, fewer or odd; its name follows where it can."""
        jwk, name = dict(CHAMBER.jwk), self._pick(["x", "y", "kty", "crv"])
        match self._chance.randint(0, 4):
            case 0:
                jwk[self._pick(ODD["keyMembers"])] = self._pick(["enc", [], "sig", 5, None])
            case 1:
                jwk[name] = self._pick([*ANYTHING, "ec", "P-384", "p-256", jwk["x"] + "=", jwk["x"][:-1]])
            case 2:
                jwk["x"] = jwk["x"][:-1] + chr(ord(jwk["x"][-1]) + 1)  # loose ends: another spelling of the same bytes
            case 3:
                jwk = dict(reversed(jwk.items()))
            case 4:
                del jwk[name]
        paper.header["jwk"] = jwk
        if self._is(0.7):
            members = {name: jwk.get(name) for name in ("crv", "kty", "x", "y")}
            text = json.dumps(members, separators=(",", ":"), ensure_ascii=self._is(0.5))
            paper.header["kid"] = sd_jwt.b64(sha256(text.encode()).digest())

    def digests(self, paper: Paper) -> None:
        """The list of digests is odd."""
        paper.open["_sd"] = self._pick(ODD["digests"])

    def subject(self, paper: Paper) -> None:
        """The subject is none, or a digest stands where it must not."""
        if self._is(0.5):
            paper.claims["credentialSubject"] = self._pick([*ANYTHING, *ODD["nestedDigests"]])
        else:
            self._set(paper, "x", self._pick(ODD["nestedDigests"]))

    def withhold(self, paper: Paper) -> None:
        """Some fields are not shown."""
        paper.fields = dict(self._chance.sample(list(paper.fields.items()), len(paper.fields)))
        paper.withheld = self._chance.randint(0, len(paper.fields))

    # ---- the signed text

    def _written(self, paper: Paper, is_spelt: bool = False) -> Signed:
        """The record in its batch: signed with the issuer's own key, at times in an odd spelling."""
        odd = self._pick(["header", "payload", "payload", "disclosure", "signature", "ending"]) if is_spelt else ""
        self.done += [odd] if odd else []
        fields = [
            sd_jwt.b64(self._json([f"salt of {name}", name, value], odd == "disclosure" and number == 0))
            for number, (name, value) in enumerate(paper.fields.items())
        ]
        digests = {"_sd": [sd_jwt.b64(sha256(one.encode()).digest()) for one in fields]}
        payload = {"_sd_alg": "sha-256", "credentialSubject": digests | paper.open} | paper.claims
        parts = self._json(paper.header, odd == "header"), self._json(payload, odd == "payload")
        signing_input = ".".join(sd_jwt.b64(part) for part in parts)
        raw = CHAMBER.sign(signing_input.encode())
        signature = self._pick(_signatures(raw)) if odd == "signature" else sd_jwt.b64(raw)
        shown = fields[: len(fields) - paper.withheld]
        if odd == "ending":
            shown = self._pick([[*shown, ""], [*shown, *shown], ["é", *shown], [*shown, "W10"], shown * 50])
        # What stands for the record in its batch is told by the kid and the quantity given here, whatever it says.
        kid, stands = paper.header.get("kid"), {"quantity": paper.sealed}
        named = {"kid": kid if isinstance(kid, str) else "none"}
        whole = {"credentialSubject": dict[str, Any]()}
        return sd_jwt.Record(f"{signing_input}.{signature}", named, whole, tuple(shown), stands), paper.kind

    def _json(self, value: Any, is_odd: bool) -> bytes:
        """The value as JSON, or in a spelling that programs may read differently."""
        text = json.dumps(value, ensure_ascii=self._is(0.5))
        return (self._respelt(text) if is_odd else text).encode()

    def _respelt(self, text: str) -> str:
        how = self._chance.randint(0, 9)
        if how < 2:
            ends = ODD["endings"]
            return str(self._pick(ends["before"]) + text if how else text + self._pick(ends["after"]))
        name = self._pick(["extra", "alg", "type", "_sd_alg", "validFrom", "\\u0074ype"])
        value = self._pick(ODD["numbers"] if how < 6 else [*ODD["spellings"], *DEEP])
        member = value if text[0] == "[" else f'"{name}":{value}'
        return f"{text[:-1]},{member}{text[-1]}" if how < 9 else f"{text[0]}{member},{text[1:]}"

    def _odd_member(self, sample: Sample) -> bytes:
        """The file itself has an odd value in one of its members."""
        self.done.append("member")
        made = json.loads(sample.content)
        (one,) = made["records"]
        holder = self._pick([made, one, one["entry"], one["proof"], one["anchor"]])
        odd = [*ANYTHING, *ODD["times"], "0x" + "AB" * 20, "00", 2, 1.0]
        holder[self._pick([*holder, "extra", "time"])] = self._pick(odd)
        return json.dumps(made, ensure_ascii=self._is(0.5)).encode()


def _signatures(raw: bytes) -> list[str]:
    """Texts in place of a signature; the first two are good ones."""
    r, s, text = raw[:32], int.from_bytes(raw[32:], "big"), sd_jwt.b64(raw)
    other = sd_jwt.b64(r + (2 * HALF_ORDER + 1 - s).to_bytes(32, "big"))
    odd = [sd_jwt.b64(each) for each in (raw + b"\0", b"\0" + raw, raw[:63], bytes(64), b"")]
    return [text, other, *odd, f"{text}=", f"{text}A", f"{text}\n", f"{text[:-1]}é", "é", "\U0001f600"]


def odd_bundles(count: int, seed: int) -> list[tuple[str, Question]]:
    """So many, the same in every run but for the issuer's key."""
    issuer = OddIssuer(random.Random(seed))
    return [issuer.bundle() for _ in range(count)]
