// Checking a certificate with nothing but the genesis hash. docs/spec/certificates.md is the specification, and
// examples/verify_certificate.py the same check in Python.
"use strict";

(() => {
  const { pack, unpack, join, bigEndian } = Guildmark;
  const MAGIC = new TextEncoder().encode("guildmark certificate 3\n");
  const BYTES_MAX = 64 * 1024 * 1024;
  const HANDOFFS_MAX = 4096;
  const TRAIL_MAX = 256;
  const DEPTH_MAX = 64;
  const VALIDATORS_MAX = 128;
  const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";
  const BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
  // Fields of a header.
  const NETWORK = 1;
  const HEIGHT = 2;
  const PARENT = 3;
  const EPOCH = 4;
  const TIME = 6;
  const STATE_ROOT = 9;
  const SET = 10;
  const NEXT_SET = 11;
  const EPOCH_END = 12;
  const FIELDS = 13;

  class NotProven extends Error {}

  function need(holds, why) {
    if (!holds) throw new NotProven(why);
  }

  const ascii = (text) => new TextEncoder().encode(text);
  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const isBytes = (value, length) =>
    value instanceof Uint8Array && (length === undefined || value.length === length);

  function same(one, other) {
    return isBytes(one) && isBytes(other, one.length) && one.every((byte, i) => byte === other[i]);
  }

  function tuple(value, length) {
    need(Array.isArray(value) && value.length === length, "a part has a wrong number of fields");
    return value;
  }

  function list(value, most) {
    need(Array.isArray(value) && value.length <= most, "a list is none, or too long");
    return value;
  }

  function tagged(tag, data) {
    return nobleHashes.sha256(join(ascii(`guildmark/${tag}\0`), data));
  }

  const blockHash = (header) => tagged("block-header", pack(tuple(header, FIELDS)));
  const setHash = (members) => tagged("validator-set", pack(members));

  // --- validators

  function base58(text) {
    let number = 0n;
    for (const symbol of text) {
      const digit = BASE58.indexOf(symbol);
      need(digit >= 0, "not a key");
      number = number * 58n + BigInt(digit);
    }
    return bigEndian(number, 34).slice(2);
  }

  function base64(text) {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  }

  function genesisSet(network, genesis) {
    const member = (validator) => {
      const organization = validator.get("organization");
      const key = base58(validator.get("signing_key").slice("did:key:z".length));
      const salt = tagged("validator-account-salt", key).slice(0, 16);
      const account = tagged("account", pack([network, organization, key, salt]));
      const certificate = base64(validator.get("tls_certificate"));
      return [organization, account, validator.get("node_id"), key, certificate, validator.get("address"), 0n];
    };
    return [genesis.get("validators").map(member)];
  }

  // A quorum of `members` signed the header, or the end of the trail that leads on from it.
  function checkSeal(header, trail, finality, network, members) {
    const first = blockHash(header);
    let last = header;
    let hash = first;
    for (const after of list(trail, TRAIL_MAX)) {
      const next = blockHash(after);
      const linked = same(after[PARENT], hash) && after[HEIGHT] === last[HEIGHT] + 1n && after[EPOCH] === last[EPOCH];
      need(linked, "the trail does not lead on from the header");
      last = after;
      hash = next;
    }
    const named = setHash(members);
    for (const one of [header, last]) {
      need(same(one[NETWORK], network) && same(one[SET], named), "a header of another network or validator set");
    }
    const [epoch, height, signedHash, epochEnd, signatures] = tuple(finality, 5);
    const signed = pack([epoch, height, signedHash, epochEnd]);
    need(same(signed, pack([last[EPOCH], last[HEIGHT], hash, last[EPOCH_END]])), "signatures under another block");
    const validators = tuple(members, 1)[0];
    const faulty = Math.floor((validators.length - 1) / 3);
    const quorum = Math.floor((validators.length + faulty) / 2) + 1;
    need(list(signatures, VALIDATORS_MAX).length >= quorum, `${signatures.length} signatures of ${quorum} needed`);
    const numbers = [EPOCH, HEIGHT, EPOCH_END].map((field) => bigEndian(last[field], 8));
    const statement = join(ascii("guildmark/finality\0"), network, ...numbers, hash);
    let before = -1n;
    for (const pair of signatures) {
      const [index, signature] = tuple(pair, 2);
      need(typeof index === "bigint" && index > before && index < validators.length, "signers do not rise");
      need(isBytes(signature, 64), "not a signature");
      const valid = Guildmark.verifySignature(validators[Number(index)][3], statement, signature);
      need(valid, `the signature of validator ${index} does not verify`);
      before = index;
    }
    return { height: header[HEIGHT], hash: first, signers: signatures.map(([index]) => validators[Number(index)][0]) };
  }

  // --- records

  // Under `root` the record of `key` is `value`, or there is none (null).
  function checkProof(root, key, value, proof) {
    const [version, branches, other] = tuple(proof, 3);
    const path = nobleHashes.sha256(key);
    const nibble = (bytes, depth) => (depth % 2 ? bytes[depth >> 1] & 15 : bytes[depth >> 1] >> 4);
    need(version === 1n && isBytes(other), "not a proof of this version");
    list(branches, DEPTH_MAX);
    let below = new Uint8Array();
    if (other.length) {
      need(value === null && other.length === 64, "the proof ends in a wrong leaf");
      need(!same(other.slice(0, 32), path), "the record is in the state");
      const onWay = branches.every((_, depth) => nibble(other, depth) === nibble(path, depth));
      need(onWay, "the other leaf does not lie on the record's way");
      below = tagged("state-leaf", other);
    } else if (value !== null) {
      need(isBytes(value), "not a record");
      below = tagged("state-leaf", join(path, tagged("state-value", value)));
    }
    for (let depth = branches.length - 1; depth >= 0; depth--) {
      const [bitmap, siblings] = tuple(branches[depth], 2);
      need(typeof bitmap === "bigint" && bitmap > 0n && bitmap < 65536n && isBytes(siblings), "not a branch");
      const bits = Number(bitmap);
      const bit = 1 << nibble(path, depth);
      const count = (number) => number.toString(2).replaceAll("0", "").length;
      const present = (bits & bit) !== 0;
      need(present === below.length > 0, "the proof does not lead to the record");
      need(siblings.length === 32 * (count(bits) - (present ? 1 : 0)), "a branch has a wrong number of hashes");
      const at = 32 * count(bits & (bit - 1));
      const children = join(siblings.slice(0, at), below, siblings.slice(at));
      below = tagged("state-branch", join(bigEndian(bitmap, 2), children));
    }
    need(same(tagged("state-root", below), root), "the proof leads to another state root");
  }

  // --- what it is about

  const TABLES = {
    artifact: "artifact/",
    tensors: "tensors/",
    asset: "asset/",
    license: "license-offer/",
    grant: "grant/",
  };

  const id = (value) => {
    need(isBytes(value, 32), "not an id");
    return value;
  };
  const time = (ms) => new Date(Number(ms)).toISOString().replace("T", " ").replace("Z", " UTC");
  const percent = (bps) => `${Number(bps) / 100}\u00a0%`;

  function isCid(text) {
    if (!/^b[a-z2-7]{58}$/.test(text)) return false;
    let number = 0n;
    for (const symbol of text.slice(1)) number = number * 32n + BigInt(BASE32.indexOf(symbol));
    return [0x01551220n, 0x01701220n].includes(number >> 258n) && (number & 3n) === 0n;
  }

  function accountText(account) {
    const value = BigInt(`0x${hex(account)}`) << 4n;
    const symbols = Array.from({ length: 52 }, (_, i) => Number((value >> BigInt(5 * (51 - i))) & 31n));
    let checksum = 1;
    for (const symbol of [3, 3, 0, 7, 13, ...symbols, 0, 0, 0, 0, 0, 0]) {
      const top = checksum >>> 25;
      checksum = ((checksum & 0x1ffffff) << 5) ^ symbol;
      [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3].forEach((term, i) => {
        if ((top >> i) & 1) checksum ^= term;
      });
    }
    checksum = (checksum ^ 0x2bc830a3) >>> 0;
    const last = [5, 4, 3, 2, 1, 0].map((i) => (checksum >>> (5 * i)) & 31);
    return `gm1${[...symbols, ...last].map((symbol) => BECH32[symbol]).join("")}`;
  }

  // Each reads the records that show it, in their order; which these are follows from ids and proven records alone.
  const SUBJECTS = {
    asset([asset], read) {
      const record = read.must("asset/", id(asset));
      const [shares, since] = read.must("ownership/", asset);
      const [[cid]] = read.must("version/", asset, bigEndian(record[11], 4));
      const owners = shares.map(([account, bps]) => `${accountText(account)} (${percent(bps)})`);
      return {
        headline: `The ${record[0]} “${record[1]}” belongs to ${owners.length === 1 ? owners[0] : "several owners"}`,
        facts: [
          ["Asset", hex(asset)],
          ["Name", record[1]],
          ["Kind", record[0]],
          ...owners.map((owner) => ["Owner", owner]),
          ["Owned since", time(since)],
          ["Registered", time(record[10])],
          ["Latest version", `${record[11]}${record[17] ? ", retired" : ""}`],
          ["Artifact", cid],
        ],
      };
    },
    version([asset, number], read) {
      need(typeof number === "bigint" && number >= 1n && number < 1n << 32n, "not a version");
      const record = read.must("asset/", id(asset));
      const [[cid, size], , , registered] = read.must("version/", asset, bigEndian(number, 4));
      return {
        headline: `Version ${number} of the ${record[0]} “${record[1]}” is registered`,
        facts: [
          ["Asset", hex(asset)],
          ["Name", record[1]],
          ["Version", `${number} of ${record[11]}`],
          ["Artifact", cid],
          ["Size", `${size} bytes`],
          ["Registered", time(registered)],
        ],
      };
    },
    license([offer], read, now) {
      const record = read.must("license-offer/", id(offer));
      const terms = read.must("terms/", record[2]);
      const asset = read.must("asset/", record[0]);
      const current = record[6] === asset[12] && now < record[8];
      return {
        headline: `Licenses on “${asset[1]}” are offered for ${terms[1]} units${current ? "" : ", no longer current"}`,
        facts: [
          ["Offer", hex(offer)],
          ["Asset", hex(record[0])],
          ["Rights", terms[0].join(", ")],
          ["Price", `${terms[1]} units`],
          ["Made by", accountText(record[3])],
          ["Only for", record[5] === null ? "anyone" : accountText(record[5])],
          ["Expires", time(record[8])],
          ["Terms", hex(record[2])],
        ],
      };
    },
    grant([grant], read) {
      const record = read.must("grant/", id(grant));
      const terms = read.must("terms/", record[2]);
      return {
        headline: `${accountText(record[4])} holds a license`,
        facts: [
          ["License", hex(grant)],
          ["Asset", hex(record[0])],
          ["Licensee", accountText(record[4])],
          ["Rights", terms[0].join(", ")],
          ["Edition", String(record[6])],
          ["Stored state", record[8]],
          ["From", time(record[10])],
          ["Until", record[11] === null ? "without end" : time(record[11])],
          ["Revoked", record[21] === null ? "no" : `from ${time(record[21][4])} on`],
          ["Terms", hex(record[2])],
        ],
      };
    },
    account([account], read) {
      const record = read.must("account/", id(account));
      const balance = read.may("balance/", account);
      const units = balance === null ? 0n : balance[0];
      return {
        headline: `An account of ${record[0]} with ${units} units`,
        facts: [
          ["Account", accountText(account)],
          ["Organization", record[0]],
          ["Name", record[1] || "none"],
          ["Balance", `${units} units`],
        ],
      };
    },
    absence([what, identifier], read) {
      need(typeof what === "string" && Object.hasOwn(TABLES, what) && isBytes(identifier), "an unknown kind of thing");
      const text = what === "artifact" ? String.fromCharCode(...identifier) : hex(id(identifier));
      need(what !== "artifact" || isCid(text), "nothing can have this id");
      need(read.may(TABLES[what], identifier) === null, `this ${what} is there`);
      const name = { license: "open license offer", grant: "license", tensors: "asset with these tensors" }[what];
      const plain = { artifact: "No asset has this artifact", tensors: "No asset has these tensors" }[what];
      return {
        headline: plain || `There is no ${name || what} of this id`,
        facts: [
          ["Absent", name || what],
          [what === "artifact" ? "CID" : "Id", text],
        ],
      };
    },
  };
  const IDS = { asset: 1, version: 2, license: 1, grant: 1, account: 1, absence: 2 };

  class Reader {
    constructor(root, records) {
      this.root = root;
      this.left = [...records];
    }

    may(table, ...parts) {
      need(this.left.length > 0, "a record is missing");
      const [key, value, proof] = tuple(this.left.shift(), 3);
      need(same(key, join(ascii(table), ...parts)), "the records are not those that show the subject");
      checkProof(this.root, key, value, proof);
      return value === null ? null : unpack(value);
    }

    must(table, ...parts) {
      const record = this.may(table, ...parts);
      need(record !== null, "a record is absent that has to be there");
      return record;
    }
  }

  // --- the whole

  function verify(data, genesisHash, trust) {
    need(data.length <= BYTES_MAX, "a certificate has at most 64 MiB");
    need(same(data.subarray(0, MAGIC.length), MAGIC), "not a certificate of this version");
    const body = data.subarray(MAGIC.length);
    const opened = tuple(unpack(body), 7);
    need(same(pack(opened), body), "not in canonical form");
    const [start, handoffs, header, trail, finality, subject, records] = opened;
    const passed = [];
    let [members, epoch, least, network] = [null, 0n, 0n, null];
    if (start[0] === "genesis") {
      tuple(start, 2);
      need(same(tagged("genesis", start[1]), genesisHash), "it belongs to another network");
      const genesis = unpack(start[1]);
      members = genesisSet(genesisHash, genesis);
      network = genesis.get("name") + (genesis.get("development") ? " (development)" : "");
    } else {
      const [tag, known, named] = tuple(start, 3);
      need(tag === "block", "an unknown start");
      const hash = blockHash(known);
      need(trust !== null, `it starts from block ${known[HEIGHT]}: say that you know it, ${known[HEIGHT]}:${hex(hash)}`);
      need(known[HEIGHT] === trust.height && same(hash, trust.hash), "it starts from another block than the known one");
      need(same(known[NETWORK], genesisHash) && same(known[SET], setHash(named)), "a start of another network or set");
      [members, epoch, least] = [named, known[EPOCH], known[HEIGHT]];
      passed.push({ height: known[HEIGHT], hash });
    }
    for (const handoff of list(handoffs, HANDOFFS_MAX)) {
      const [end, seal, following] = tuple(handoff, 3);
      const ends = end[EPOCH] === epoch && end[EPOCH_END] === end[HEIGHT] && end[HEIGHT] >= least;
      need(ends, `block ${end[HEIGHT]} does not end epoch ${epoch}`);
      passed.push(checkSeal(end, [], seal, genesisHash, members));
      need(same(end[NEXT_SET], setHash(following)), `block ${end[HEIGHT]} names another next set`);
      [members, epoch, least] = [following, epoch + 1n, end[HEIGHT] + 1n];
    }
    need(header[EPOCH] === epoch && header[HEIGHT] >= least, "the block is of another epoch than the hand-offs lead to");
    const block = checkSeal(header, trail, finality, genesisHash, members);
    passed.push(block);
    const hashes = new Map(passed.map(({ height, hash }) => [height, hash]));
    need(passed.every(({ height, hash }) => same(hashes.get(height), hash)), "two blocks of one height");
    const pinned = trust !== null && hashes.has(trust.height) && same(hashes.get(trust.height), trust.hash);
    need(trust === null || pinned, "the way does not lead through the block that you know");
    const [kind, ...ids] = list(subject, 3);
    need(typeof kind === "string" && Object.hasOwn(IDS, kind) && ids.length === IDS[kind], "an unknown subject");
    const reader = new Reader(header[STATE_ROOT], list(records, 8));
    const shown = SUBJECTS[kind](ids, reader, header[TIME]);
    need(reader.left.length === 0, "there are more records than the subject needs");
    return {
      ...shown,
      kind,
      rests: [
        ["Height", String(header[HEIGHT])],
        ["Block", hex(block.hash)],
        ["Block time", time(header[TIME])],
        ["Epoch", `${epoch}, over ${handoffs.length} hand-overs from ${least === 0n || start[0] === "genesis" ? "the genesis" : "the known block"}`],
        ["Certified by", `${block.signers.length} of ${members[0].length} validators: ${block.signers.join(", ")}`],
        ["Network", network === null ? hex(genesisHash) : `${network} ${hex(genesisHash)}`],
        ["Known block", pinned ? "the way leads through it" : "none: the keys of all these validators are believed safe"],
      ],
    };
  }

  function bytesOfHex(text, length) {
    need(new RegExp(`^[0-9a-fA-F]{${2 * length}}$`).test(text), `not ${2 * length} hex digits`);
    return Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
  }

  // `data` is a Uint8Array, `trust` HEIGHT:HASH or empty. Whatever does not hold is told as `reason`.
  Guildmark.check = (data, genesisHash, trust = "") => {
    try {
      const known = bytesOfHex(genesisHash.replace(/\s+/g, ""), 32);
      let pin = null;
      if (trust.trim()) {
        const [height, hash] = trust.trim().split(":");
        need(/^[0-9]{1,19}$/.test(height) && hash !== undefined, "a known block is written HEIGHT:HASH");
        pin = { height: BigInt(height), hash: bytesOfHex(hash, 32) };
      }
      return { holds: true, ...verify(data, known, pin) };
    } catch (error) {
      return { holds: false, reason: error instanceof NotProven ? error.message : `damaged: ${error.message}` };
    }
  };
})();
