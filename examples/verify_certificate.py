"""Verify a Guildmark certificate (docs/spec/certificates.md) with nothing but its network's genesis hash, and PyNaCl.

python verify_certificate.py FILE GENESIS_HASH [--trust HEIGHT:HASH]
"""

import base64
import hashlib
import io
import json
import pathlib
import sys

from nacl.bindings import crypto_sign_open

MAGIC = b"guildmark certificate 3\n"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
NETWORK, HEIGHT, EPOCH, STATE_ROOT, SET, NEXT_SET, EPOCH_END = 1, 2, 4, 9, 10, 11, 12  # fields of a header
HEADS = {int: (0, 128, 204), bytes: (0, 0, 196), str: (160, 32, 217), list: (144, 16, 219), type(None): (192, 1, 0)}
TABLES = {"asset": b"asset/", "grant": b"grant/", "license": b"license-offer/"}
SHOWN, ABSENT = {"version": b"asset/", "account": b"account/"}, {"artifact": b"artifact/", "tensors": b"tensors/"}
LENGTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}


def need(holds, why):
    if not holds:
        raise ValueError(why)


def tagged(tag, data):
    return hashlib.sha256(b"guildmark/" + tag.encode() + b"\0" + data).digest()


def pack(v):  # canonical MessagePack of what a certificate consists of: nil, naturals, byte strings, texts, arrays
    fixed, room, code = HEADS[type(v)]
    body = {str: str.encode, list: lambda x: b"".join(map(pack, x)), bytes: bytes}.get(type(v), lambda _: b"")(v)
    n = v if type(v) is int else len(v if type(v) is list else body)
    size = next(i for i in range(type(v) is list, 4) if n < 256 ** (2**i))
    return (bytes([fixed | n]) if n < room else bytes([code + size]) + n.to_bytes(2**size, "big")) + body


def unpack(stream):  # any MessagePack, canonical or not: what has to be is packed again and compared
    c = stream.read(1)[0]
    if c < 0x80 or c >= 0xE0:
        return c if c < 0x80 else c - 256
    if c in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[c]
    if 0xCC <= c <= 0xD3:
        return int.from_bytes(stream.read(1 << (c & 3)), "big", signed=c >= 0xD0)
    n = c & (15 if c < 0xA0 else 31) if c < 0xC0 else int.from_bytes(stream.read(LENGTHS[c]), "big")
    if c < 0x90 or c >= 0xDE:
        return {unpack(stream): unpack(stream) for _ in range(n)}
    if c < 0xA0 or c >= 0xDC:
        return [unpack(stream) for _ in range(n)]
    return stream.read(n) if 0xC4 <= c <= 0xC6 else stream.read(n).decode()


def genesis_member(network, v):  # a validator of the genesis, as sets have it
    key = sum(BASE58.index(symbol) * 58**i for i, symbol in enumerate(v["signing_key"][:8:-1])).to_bytes(34, "big")[2:]
    account = tagged("account", pack([network, v["organization"], key, tagged("validator-account-salt", key)[:16]]))
    return [v["organization"], account, v["node_id"], key, base64.b64decode(v["tls_certificate"]), v["address"], 0]


def check_seal(header, trail, finality, network, members):  # a quorum of `members` signed the header or a descendant
    way = [header, *trail]
    hashes = [tagged("block-header", pack(one)) for one in way]
    for i, after in enumerate(trail):
        need(after[2:5] == [way[i][HEIGHT] + 1, hashes[i], way[i][EPOCH]], "the trail does not lead on")
    last, named = way[-1], [network, tagged("validator-set", pack(members))]
    need([header[NETWORK], header[SET]] == named == [last[NETWORK], last[SET]], "a header of another validator set")
    *signed, signatures = finality
    need(signed == [last[EPOCH], last[HEIGHT], hashes[-1], last[EPOCH_END]], "signatures under another block")
    keys, signers = [validator[3] for validator in members[0]], [index for index, _ in signatures]
    need(signers == sorted(set(signers)) and signers[-1] < len(keys), "the signers do not rise, or are no members")
    need(len(signers) > (len(keys) + (len(keys) - 1) // 3) // 2, "fewer signatures than a quorum")
    numbers = b"".join(last[field].to_bytes(8, "big") for field in (EPOCH, HEIGHT, EPOCH_END))
    statement = b"guildmark/finality\0" + network + numbers + hashes[-1]
    for index, signature in signatures:
        need(crypto_sign_open(signature + statement, keys[index]) == statement, "a signature of something else")
    return header[HEIGHT], hashes[0]


def check_proof(root, key, value, proof):  # under `root` the record of `key` is `value`, or there is none (None)
    path, (version, branches, other) = hashlib.sha256(key).digest(), proof
    aside = value is None and len(other) == 64 and other[:32] != path
    way = other.hex()[: len(branches)] in ("", path.hex()[: len(branches)])
    need(version == 1 and way and (other == b"" or aside), "not a proof of this: it ends in a wrong leaf")
    leaf = other or (value is not None and path + tagged("state-value", value))
    below = tagged("state-leaf", leaf) if leaf else b""
    for nibble, (bitmap, siblings) in reversed([*zip(path.hex(), [] + branches, strict=False)]):
        bit = 1 << int(nibble, 16)
        fits = bool(bitmap & bit) == bool(below) and len(siblings) == 32 * (bitmap.bit_count() - bool(below))
        need(fits and bitmap, "a branch does not lead to the record")
        at = 32 * (bitmap & bit - 1).bit_count()
        below = tagged("state-branch", bitmap.to_bytes(2, "big") + siblings[:at] + below + siblings[at:])
    need(len(branches) <= 64 and tagged("state-root", below) == root, "the proof leads to another state root")
    return value and unpack(io.BytesIO(value))


def subject_keys(kind, ids, proven):  # which records show it follows from its ids and from proven records
    what, name = ids if kind == "absence" else (kind, ids[0])
    raw = base64.b32decode(name[1:].upper() + b"======") if what == "artifact" else b""
    cid = len(raw) == 36 and raw[:4] in (b"\x01\x55\x12\x20", b"\x01\x70\x12\x20")
    spelled = b"b" + base64.b32encode(raw).lower() == name + b"======"
    need(cid and spelled if what == "artifact" else len(name) == 32, "nothing has such an id")
    need(len(ids) == 1 + (kind in ("version", "absence")), "no such subject")
    key = (TABLES | (ABSENT if kind == "absence" else SHOWN))[what] + name
    if kind in ("asset", "version"):
        number = ids[1] if kind == "version" else proven[key][11]
        return [key, *[b"ownership/" + name][kind == "version" :], b"version/" + name + number.to_bytes(4, "big")]
    if kind in ("account", "absence"):
        return [key, *[b"balance/" + name][kind == "absence" :]]
    return [key, b"terms/" + proven[key][2], *[b"asset/" + proven[key][0]][kind == "grant" :]]


def verify(data, genesis_hash, trust=None):
    need(len(data) <= 2**26 and data.startswith(MAGIC), "not a certificate of this version")
    found = start, handoffs, header, trail, finality, (kind, *ids), records = unpack(io.BytesIO(data[len(MAGIC) :]))
    need(pack(found) == data[len(MAGIC) :] and len([] + handoffs) <= 4096 and len([] + trail) <= 256, "not canonical")
    (tag, known), members, passed, epoch, least = start[:2], start[2:], [], 0, 0
    if tag == "genesis":
        need(members == [] and tagged("genesis", known) == genesis_hash, "it belongs to another network")
        members = [[genesis_member(genesis_hash, v) for v in unpack(io.BytesIO(known))["validators"]]]
    else:
        (members,), epoch, least = members, known[EPOCH], known[HEIGHT]
        passed.append((least, tagged("block-header", pack(known))))
        need(tag == "block" and trust == passed[0], "it starts from a block that is not the trusted one")
        need(known[NETWORK] == genesis_hash and known[SET] == tagged("validator-set", pack(members)), "a wrong start")
    for end, seal, following in handoffs:
        need(end[EPOCH] == epoch and end[EPOCH_END] == end[HEIGHT] >= least, "a block that ends no epoch")
        passed.append(check_seal(end, [], seal, genesis_hash, members))
        need(end[NEXT_SET] == tagged("validator-set", pack(following)), "a set that was not named")
        members, epoch, least = following, epoch + 1, end[HEIGHT] + 1
    need(header[EPOCH] == epoch and header[HEIGHT] >= least, "the block is of another epoch")
    passed.append(check_seal(header, trail, finality, genesis_hash, members))
    need(len(dict(passed)) == len(set(passed)) and trust in (None, *passed), "the trusted block is not on the way")
    proven = {record[0]: check_proof(header[STATE_ROOT], *record) for record in records}
    need([key for key, _, _ in records] == subject_keys(kind, ids, proven), "not the records that show the subject")
    need(all((v is None) == (kind == "absence") for k, v in proven.items() if k[:8] != b"balance/"), "it is not so")
    return {"subject": [kind, *ids], "height": header[HEIGHT], "block": passed[-1][1], "records": [*proven.values()]}


if __name__ == "__main__":
    file, network, *pin = [word for word in sys.argv[1:] if word != "--trust"] if sys.argv[2:] else sys.exit(__doc__)
    try:
        trust = (int(pin[0].split(":")[0]), bytes.fromhex(pin[0].split(":")[1])) if pin else None
        proven = verify(pathlib.Path(file).read_bytes(), bytes.fromhex(network), trust)
    except Exception as error:  # whatever is not as it must be: nothing is proven
        sys.exit(f"NOT PROVEN: {type(error).__name__}: {error}")
    print(json.dumps(proven, default=bytes.hex, indent=2))
