#!/usr/bin/env python3
"""Verifies a ledger of Miax without any code of Miax; README.md beside this file explains the format.

    verify.py DIRECTORY KEY              what `miax ledger unpack DIRECTORY` wrote, block by block
    verify.py --proof PROOF ENTRY KEY    what `miax ledger prove INDEX --entry ENTRY` wrote

KEY is the log's verifier key: of a ledger the one that it began with, of a proof one that signed its checkpoint. Exit code 0: verified; 1: refused, with the first thing that is wrong.
"""
import base64
import hashlib
import json
import pathlib
import re
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

BLOCK_ENTRIES = 256


class Refused(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Refused(message)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def base64_bytes(text):
    decoded = base64.b64decode(text, validate=True)
    check(base64.b64encode(decoded).decode() == text, "base64 in another spelling")
    return decoded


class Key:
    def __init__(self, text):
        parts = text.split("+", 2)
        check(len(parts) == 3, "a key is name+hash+base64")
        self.text, self.name = text, parts[0]
        encoded = base64_bytes(parts[2])
        if encoded[:1] == b"\x02":
            key = serialization.load_der_public_key(encoded[1:])
            check(isinstance(key.curve, ec.SECP256R1), f"{self.name}: not a P-256 key")
            self.hash = sha256(encoded[1:])[:4]
            self.verify = lambda signature, text: key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
        else:
            check(encoded[:1] == b"\x01" and len(encoded) == 33, f"{self.name}: neither an Ed25519 nor a P-256 key")
            self.hash = sha256(self.name.encode(), b"\n", encoded)[:4]
            self.verify = Ed25519PublicKey.from_public_bytes(encoded[1:]).verify
        check(self.hash.hex() == parts[1], f"{self.name}: the hash is not that of the key")

    def renamed(self, name):
        encoded = base64_bytes(self.text.split("+", 2)[2])
        hashed = encoded[1:] if encoded[:1] == b"\x02" else name.encode() + b"\n" + encoded
        return Key(f"{name}+{sha256(hashed)[:4].hex()}+{self.text.split('+', 2)[2]}")

    def open(self, note):
        """The text of a signed note, if this key signed it. Lines of other keys are ignored."""
        at = note.rfind("\n\n")
        check(at >= 0 and note.endswith("\n"), "not a signed note")
        text, signed = note[: at + 1], False
        for line in note[at + 2 :].splitlines():
            found = re.fullmatch("\u2014 (\\S+) (\\S+)", line)
            check(found, "not a signature line")
            blob = base64_bytes(found[2])
            if found[1] == self.name and blob[:4] == self.hash:
                self.verify(blob[4:], text.encode())
                signed = True
        check(signed, f"not signed by {self.name}")
        return text


def opened(note, key):
    """The same, or None: another key may have signed it."""
    try:
        return key.open(note)
    except Refused:
        return None


class LogKeys:
    """The keys of the log, each with the sizes that it vouches for, as the entries so far have left them."""

    def __init__(self, first):
        self.origin, self.windows = first.name, [[first, 0, None]]

    def rename(self, origin):
        self.origin, self.windows = origin, [[key.renamed(origin), *window] for key, *window in self.windows]

    def vouched(self, note):
        texts = (opened(note, key) for key, _, end in self.windows if end is None)
        return next((text for text in texts if text is not None), None)

    def change(self, index, entry):
        """Takes in a change that stands at this index; another key that vouches must have signed it."""
        kind, public, proof = entry["kind"], entry["public"], entry["proof"]
        said = {"key.add": f"add\n{public}\n", "key.retire": f"retire\n{public}\n"}.get(kind)
        said = said or f"revoke\n{public}\n{entry['lastGood']}\n"
        text = f"miax.dev/log-key/v1\n{self.origin}\n{said}"
        others = [key for key, _, end in self.windows if end is None and key.text != public]
        check(any(opened(proof, key) == text for key in others), f"entry {index}: no other key of the log signed it")
        window = next((window for window in self.windows if window[0].text == public), None)
        if kind == "key.add":
            key = Key(public)
            check(window is None and key.name == self.origin, f"entry {index}: it was a key of the log before, or is of another")
            check(opened(proof, key) == text, f"entry {index}: the new key did not sign that it is there")
            self.windows.append([key, index + 1, None])
        elif kind == "key.retire":
            check(window and window[2] is None, f"entry {index}: it does not vouch for the log")
            window[2] = index
        else:
            last = entry["lastGood"]
            check(window and last <= index and (window[2] is None or last < window[2]), f"entry {index}: nothing to revoke")
            window[2] = last

    def checkpoint(self, note):
        signed = False
        for key, begin, end in self.windows:
            if opened(note, key) is not None:
                signed, (size, root) = True, checkpoint(note, key)
                if begin <= size and (end is None or size <= end):
                    return size, root
        check(signed, "the checkpoint is not signed by a key of the log")
        check(False, "no key signed the checkpoint that vouches for its size")


def node_hash(left, right):
    return sha256(b"\x01", left, right)


class Tree:
    def __init__(self):
        self.size, self.roots = 0, []  # the roots of the perfect subtrees so far, the largest first

    def append(self, leaf):
        carry = self.size
        while carry & 1:
            leaf, carry = node_hash(self.roots.pop(), leaf), carry >> 1
        self.roots.append(leaf)
        self.size += 1

    def root(self):
        root = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            root = node_hash(left, root)
        return root


def checkpoint(note, key):
    lines = key.open(note).split("\n")
    check(len(lines) == 4 and lines[3] == "" and lines[0] == key.name, "not a checkpoint of the log")
    check(re.fullmatch("0|[1-9][0-9]*", lines[1]), "the size of the checkpoint")
    return int(lines[1]), base64_bytes(lines[2])


def canonical(text, what):
    """A JSON object in its one spelling: keys sorted, nothing between the tokens, no floats."""
    value = json.loads(text, parse_float=lambda _: check(False, f"{what}: a float"))
    spelled = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    check(isinstance(value, dict) and spelled == text, f"{what}: not canonical JSON")
    return value


def split(bundle, count, what):
    entries = []
    while bundle:
        end = 2 + int.from_bytes(bundle[:2], "big")
        check(len(bundle) >= end, f"{what}: the bundle is cut")
        entries.append(bundle[2:end])
        bundle = bundle[end:]
    check(len(entries) == count, f"{what}: {len(entries)} entries, the header says {count}")
    return entries


def introduce(entry, origin, keys, writers):
    writer = Key(entry["public"])
    said = f"miax.dev/writer/v1\n{origin}\n{writer.text}\n{entry['notAfter']}\n"
    check(keys.vouched(entry["proof"]) == said and writer.name == entry["name"], "the introduction of a writer")
    check(writers.setdefault(writer.name, (writer, entry["notAfter"]))[0].text == writer.text, f"{writer.name} has two keys")


def verify_ledger(directory, log_key):
    origin, tree, previous, writers, roots, keys = log_key.name, Tree(), bytes(32), {}, {}, LogKeys(log_key)
    names = sorted(path.stem for path in directory.glob("ecm-*.header"))
    for number, name in enumerate(names):
        log, epoch = origin.rsplit("/", 1)
        opens = name == f"ecm-{int(epoch) + 1:04x}-{number:016x}"
        if opens:  # the log goes on under another name: see README.md, Epoch
            origin = f"{log}/{int(epoch) + 1}"
            keys.rename(origin)
        expected = f"ecm-{int(origin.rsplit('/', 1)[1]):04x}-{number:016x}"
        check(name == expected, f"{expected} is missing")
        text = (directory / f"{name}.header").read_text("utf-8")
        header = canonical(text, name)
        check(header["v"] == 1, f"{name}: form {header['v']} is not known to this program")
        check(header["number"] == number and header["first"] == tree.size, f"{name}: number or first entry")
        room = BLOCK_ENTRIES - tree.size % BLOCK_ENTRIES
        check(0 < header["count"] <= room, f"{name}: a block never crosses a multiple of {BLOCK_ENTRIES}")
        check(header["previous"] == f"sha256:{previous.hex()}", f"{name}: does not continue the block before")
        entries = split((directory / f"{name}.bundle").read_bytes(), header["count"], name)
        for offset, entry in enumerate(entries):
            what = f"{name}, entry {tree.size}"
            leaf = sha256(b"\x00", entry)
            check(header["leaves"][8 * offset : 8 * offset + 8] == leaf[:4].hex(), f"{what}: was changed")
            event = canonical(entry.decode("utf-8"), what)
            check(event["v"] == 1, f"{what}: form {event['v']} is not known to this program")
            if opens and offset == 0:
                kept = (event["kind"], event["epoch"], event["blocks"], event["entries"], event["root"])
                here = ("epoch.open", int(epoch) + 1, number, tree.size, f"sha256:{tree.root().hex()}")
                check(kept == here, f"{what}: does not open the epoch with what is here")
            elif offset == opens and event["kind"] == "key.add" and event.get("role") != "log":
                introduce(event, origin, keys, writers)
            elif offset == opens and event["kind"].startswith("key."):
                keys.change(tree.size, event)
            tree.append(leaf)
            roots[tree.size] = tree.root()
        check(header["size"] == tree.size and header["root"] == f"sha256:{tree.root().hex()}", f"{name}: the root")
        previous = sha256(text.encode())
        check(header["writer"] in writers, f"{name}: its writer was never introduced")
        writer, not_after = writers[header["writer"]]
        seal = f"miax.dev/block/v1\n{origin}\n{number}\nsha256:{previous.hex()}\n"
        check(writer.open((directory / f"{name}.seal").read_text("utf-8")) == seal, f"{name}: the seal")
        check(header["to"] <= not_after, f"{name}: the writer's key had expired")
    size, root = keys.checkpoint((directory / "checkpoint").read_text("utf-8"))
    check(size <= tree.size, f"the checkpoint is over {size} entries, here are {tree.size}: the end is missing")
    check(roots.get(size, sha256()) == root, f"the root after {size} entries is not the checkpoint's")
    print(f"verified: {tree.size} entries in {len(names)} blocks; the checkpoint over {size} entries agrees")


def verify_proof(proof, entry, log_key):
    head, found, note = proof.partition("\n\n")
    lines = head.split("\n")
    check(found and lines[0] == "c2sp.org/tlog-proof@v1", "not a proof")
    lines = lines[2:] if lines[1].startswith("extra ") else lines[1:]
    check(re.fullmatch("index (0|[1-9][0-9]*)", lines[0]), "the line of the index")
    index, hashes = int(lines[0][6:]), [base64_bytes(line) for line in lines[1:]]
    size, root = checkpoint(note, log_key)
    check(index < size, f"entry {index} is not in a log of {size}")
    node, first, last = sha256(b"\x00", entry), index, size - 1
    for sibling in hashes:
        check(len(sibling) == 32 and last > 0, "a hash that does not belong there")
        if first & 1 or first == last:
            node = node_hash(sibling, node)
            while first and not first & 1:
                first, last = first >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        first, last = first >> 1, last >> 1
    check(last == 0 and node == root, "the proof does not lead to the signed root")
    print(f"verified: entry {index} of {size} in {log_key.name}")


def main(arguments):
    try:
        if len(arguments) == 4 and arguments[0] == "--proof":
            proof, entry = (pathlib.Path(path).read_bytes() for path in arguments[1:3])
            verify_proof(proof.decode("utf-8"), entry, Key(arguments[3]))
        elif len(arguments) == 2:
            verify_ledger(pathlib.Path(arguments[0]), Key(arguments[1]))
        else:
            sys.exit(__doc__)
    except InvalidSignature:
        sys.exit("refused: a signature does not verify")
    except (Refused, LookupError, TypeError, ValueError, OSError) as error:
        sys.exit(f"refused: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
