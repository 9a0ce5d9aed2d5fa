// Ed25519 with the accept set of libsodium's crypto_sign_open, which is the network's rule: TweetNaCl checks the same
// equation (without the cofactor, R compared byte by byte) but lets pass what libsodium refuses before it.
"use strict";

var Guildmark = globalThis.Guildmark || {};
globalThis.Guildmark = Guildmark;

(() => {
  // The order of the prime-order subgroup, little endian: 2^252 + 27742317777372353535851937790883648493.
  const ORDER = bytesOf("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  const PRIME = bytesOf("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
  // y of the points of order 1, 2, 4 and 8, and the two of them that have a second spelling, without the sign bit.
  const SMALL = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ].map(bytesOf);

  function bytesOf(hex) {
    return Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
  }

  function below(value, bound) {
    for (let i = 31; i >= 0; i--) {
      if (value[i] !== bound[i]) return value[i] < bound[i];
    }
    return false;
  }

  function unsigned(point) {
    const y = point.slice();
    y[31] &= 0x7f;
    return y;
  }

  function hasSmallOrder(point) {
    const y = unsigned(point);
    return SMALL.some((small) => small.every((byte, i) => byte === y[i]));
  }

  Guildmark.verifySignature = (publicKey, message, signature) => {
    if (signature.length !== 64 || publicKey.length !== 32) return false;
    const r = signature.slice(0, 32);
    const s = signature.slice(32);
    if (!below(s, ORDER) || hasSmallOrder(r) || hasSmallOrder(publicKey)) return false;
    if (!below(unsigned(publicKey), PRIME)) return false;
    return nacl.sign.detached.verify(message, signature, publicKey);
  };
})();
