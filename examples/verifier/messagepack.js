// MessagePack: reading anything, and writing what a certificate consists of in its one canonical form.
"use strict";

(() => {
  const TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const LENGTH_BYTES = { 0xc4: 1, 0xc5: 2, 0xc6: 4, 0xd9: 1, 0xda: 2, 0xdb: 4, 0xdc: 2, 0xdd: 4, 0xde: 2, 0xdf: 4 };

  // Integers become BigInt, byte strings Uint8Array, maps Map.
  Guildmark.unpack = (data) => {
    let at = 0;

    function take(count) {
      if (at + count > data.length) throw new Error("it ends too early");
      at += count;
      return data.subarray(at - count, at);
    }

    function natural(size) {
      return take(size).reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
    }

    function items(count) {
      if (count > data.length) throw new Error("it ends too early");
      return Array.from({ length: count }, value);
    }

    function value() {
      const c = take(1)[0];
      if (c < 0x80) return BigInt(c);
      if (c >= 0xe0) return BigInt(c - 256);
      if (c === 0xc0) return null;
      if (c === 0xc2 || c === 0xc3) return c === 0xc3;
      if (c >= 0xcc && c <= 0xcf) return natural(1 << (c & 3));
      if (c >= 0xd0 && c <= 0xd3) {
        const size = 1 << (c & 3);
        return BigInt.asIntN(8 * size, natural(size));
      }
      const count = c < 0xa0 ? c & 15 : c < 0xc0 ? c & 31 : c in LENGTH_BYTES ? Number(natural(LENGTH_BYTES[c])) : -1;
      if (count < 0) throw new Error("a value of an unknown kind");
      if (c < 0x90 || c >= 0xde) return new Map(items(2 * count).reduce(inPairs, []));
      if (c < 0xa0 || c >= 0xdc) return items(count);
      if (c >= 0xc4 && c <= 0xc6) return take(count).slice();
      return TEXT.decode(take(count));
    }

    const found = value();
    if (at !== data.length) throw new Error("there is more than one value");
    return found;
  };

  function inPairs(pairs, item, index) {
    if (index % 2) pairs[pairs.length - 1].push(item);
    else pairs.push([item]);
    return pairs;
  }

  // nil, naturals, byte strings, texts and arrays; whatever else is no part of a certificate.
  Guildmark.pack = (value) => {
    const pieces = [];
    write(value, pieces);
    return Guildmark.join(...pieces);
  };

  function write(value, pieces) {
    if (value === null) {
      pieces.push(Uint8Array.of(0xc0));
    } else if (typeof value === "bigint" && value >= 0n) {
      head(value, 0, 128, 0xcc, 0, pieces);
    } else if (value instanceof Uint8Array) {
      head(BigInt(value.length), 0, 0, 0xc4, 0, pieces);
      pieces.push(value);
    } else if (typeof value === "string") {
      const text = new TextEncoder().encode(value);
      head(BigInt(text.length), 0xa0, 32, 0xd9, 0, pieces);
      pieces.push(text);
    } else if (Array.isArray(value)) {
      head(BigInt(value.length), 0x90, 16, 0xdb, 1, pieces);
      for (const item of value) write(item, pieces);
    } else {
      throw new Error("a value that no certificate has");
    }
  }

  function head(count, fixed, room, code, smallest, pieces) {
    if (count < BigInt(room)) {
      pieces.push(Uint8Array.of(fixed | Number(count)));
      return;
    }
    let size = smallest;
    while (count >= 1n << BigInt(8 << size)) size++;
    if (size > 3) throw new Error("a number that no certificate has");
    pieces.push(Uint8Array.of(code + size), Guildmark.bigEndian(count, 1 << size));
  }

  Guildmark.bigEndian = (value, size) => {
    if (typeof value !== "bigint" || value < 0n || value >= 1n << BigInt(8 * size)) throw new Error("not a number");
    return Uint8Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * (size - 1 - i))) & 255n));
  };

  Guildmark.join = (...parts) => {
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  };
})();
