// MessagePack, the part that MessagePack-RPC needs. Strict on reading: limits on depth and size, no extension types.
"use strict";

const MAX_DEPTH = 32;

function header(first, size, value) {
  const head = Buffer.alloc(1 + size);
  head[0] = first;
  if (size) head.writeUIntBE(value, 1, size);
  return head;
}

function encodeInteger(value) {
  if (value >= 0) {
    if (value < 128) return Buffer.from([value]);
    if (value < 2 ** 8) return header(0xcc, 1, value);
    if (value < 2 ** 16) return header(0xcd, 2, value);
    if (value < 2 ** 32) return header(0xce, 4, value);
  } else if (value >= -32) {
    return Buffer.from([value & 0xff]);
  }
  const wide = Buffer.alloc(9);
  wide[0] = value >= 0 ? 0xcf : 0xd3;
  if (value >= 0) wide.writeBigUInt64BE(BigInt(value), 1);
  else wide.writeBigInt64BE(BigInt(value), 1);
  return wide;
}

function encodeFloat(value) {
  const data = Buffer.alloc(9);
  data[0] = 0xcb;
  data.writeDoubleBE(value, 1);
  return data;
}

function encodeText(text) {
  const body = Buffer.from(text, "utf8");
  const size = body.length;
  const head = size < 32 ? Buffer.from([0xa0 | size]) : size < 2 ** 8 ? header(0xd9, 1, size)
    : size < 2 ** 16 ? header(0xda, 2, size) : header(0xdb, 4, size);
  return Buffer.concat([head, body]);
}

function collection(count, small, wide, parts) {
  const head = count < 16 ? Buffer.from([small | count]) : count < 2 ** 16 ? header(wide, 2, count) : header(wide + 1, 4, count);
  return Buffer.concat([head, ...parts]);
}

// The bytes of a value. A whole number is an integer; wrap a number in `new Float(x)` to send 8.0 as a float.
function encode(value) {
  if (value === null || value === undefined) return Buffer.from([0xc0]);
  if (value === true || value === false) return Buffer.from([value ? 0xc3 : 0xc2]);
  if (value instanceof Float) return encodeFloat(value.value);
  if (typeof value === "number") return Number.isSafeInteger(value) ? encodeInteger(value) : encodeFloat(value);
  if (typeof value === "string") return encodeText(value);
  if (Array.isArray(value)) return collection(value.length, 0x90, 0xdc, value.map(encode));
  if (typeof value === "object") {
    const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
    return collection(entries.length, 0x80, 0xde, entries.flatMap(([key, inner]) => [encodeText(key), encode(inner)]));
  }
  throw new TypeError(`cannot send a ${typeof value}`);
}

class Float {
  constructor(value) { this.value = value; }
}

class Incomplete extends Error {}

class Reader {
  constructor(data) { this.data = data; this.at = 0; }

  take(count) {
    if (this.at + count > this.data.length) throw new Incomplete();
    const start = this.at;
    this.at += count;
    return start;
  }

  number(size) { return this.data.readUIntBE(this.take(size), size); }

  text(size) { const start = this.take(size); return this.data.toString("utf8", start, start + size); }

  bytes(size) { const start = this.take(size); return this.data.subarray(start, start + size); }

  list(count, depth) {
    const list = [];
    for (let index = 0; index < count; index++) list.push(this.value(depth + 1));
    return list;
  }

  map(count, depth) {
    const map = {};
    for (let index = 0; index < count; index++) { const key = this.value(depth + 1); map[key] = this.value(depth + 1); }
    return map;
  }

  value(depth = 0) {
    if (depth > MAX_DEPTH) throw new RangeError("nested too deeply");
    const tag = this.data[this.take(1)];
    if (tag < 0x80) return tag;
    if (tag < 0x90) return this.map(tag & 15, depth);
    if (tag < 0xa0) return this.list(tag & 15, depth);
    if (tag < 0xc0) return this.text(tag & 31);
    if (tag >= 0xe0) return tag - 256;
    const read = WIDE[tag];
    if (!read) throw new TypeError(`unknown type 0x${tag.toString(16)}`);
    return read(this, depth);
  }
}

const WIDE = {
  0xc0: () => null, 0xc2: () => false, 0xc3: () => true,
  0xc4: (r) => r.bytes(r.number(1)), 0xc5: (r) => r.bytes(r.number(2)), 0xc6: (r) => r.bytes(r.number(4)),
  0xca: (r) => r.data.readFloatBE(r.take(4)), 0xcb: (r) => r.data.readDoubleBE(r.take(8)),
  0xcc: (r) => r.number(1), 0xcd: (r) => r.number(2), 0xce: (r) => r.number(4),
  0xcf: (r) => Number(r.data.readBigUInt64BE(r.take(8))),
  0xd0: (r) => r.data.readInt8(r.take(1)), 0xd1: (r) => r.data.readInt16BE(r.take(2)), 0xd2: (r) => r.data.readInt32BE(r.take(4)),
  0xd3: (r) => Number(r.data.readBigInt64BE(r.take(8))),
  0xd9: (r) => r.text(r.number(1)), 0xda: (r) => r.text(r.number(2)), 0xdb: (r) => r.text(r.number(4)),
  0xdc: (r, d) => r.list(r.number(2), d), 0xdd: (r, d) => r.list(r.number(4), d),
  0xde: (r, d) => r.map(r.number(2), d), 0xdf: (r, d) => r.map(r.number(4), d),
};

// All whole values at the start of the data, and what is left: {values, rest}.
function decodeAll(data) {
  const values = [];
  let rest = data;
  while (rest.length) {
    const reader = new Reader(rest);
    try {
      values.push(reader.value());
    } catch (failure) {
      if (failure instanceof Incomplete) break;
      throw failure;
    }
    rest = rest.subarray(reader.at);
  }
  return { values, rest };
}

module.exports = { encode, decodeAll, Float };
