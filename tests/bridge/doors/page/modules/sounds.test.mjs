// Peaks, loudness and times.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, clock, dragged, matchingVolume, parseClock } from "../../../../../bridge/doors/http/page/static/format.js";
import { Peaks } from "../../../../../bridge/doors/http/page/static/peaks.js";

function peakBytes(bins, length = bins.length * 100) {
  const head = Buffer.alloc(28);
  head.write("PEAK");
  [1, 48000, 2, 100].forEach((value, n) => head.writeUInt32LE(value, 4 + 4 * n));
  head.writeBigUInt64LE(BigInt(length), 20);
  return new Uint8Array(Buffer.concat([head, Buffer.from(bins.flatMap(([low, high, loud]) => [low & 255, high, loud]))]));
}

test("peaks are read in whatever pieces they come", () => {
  const bins = Array.from({ length: 1000 }, (_, n) => [-(n % 100), n % 128, n % 256]);
  const data = peakBytes(bins), peaks = new Peaks();
  for (let at = 0; at < data.length; at += 7) peaks.feed(data.subarray(at, at + 7));
  assert.ok(peaks.whole);
  assert.deepEqual([peaks.rate, peaks.channels, peaks.length, peaks.count], [48000, 2, 100_000, 1000]);
  assert.equal(peaks.between(0, 100_000).high, 1);
  assert.equal(peaks.between(300, 301).high, 3 / 127);
  assert.equal(peaks.between(300, 301).low, -3 / 127);
});

test("what is not read yet is not silence", () => {
  const peaks = new Peaks();
  peaks.feed(peakBytes(Array.from({ length: 500 }, () => [-9, 9, 9]), 100_000));
  assert.equal(peaks.between(60_000, 70_000), null);
  assert.equal(peaks.whole, false);
});

test("something else than peaks is refused", () => {
  assert.throws(() => new Peaks().feed(new Uint8Array(40)));
});

test("two sounds are brought to the loudness of the quieter one, never louder", () => {
  assert.deepEqual([matchingVolume(0.2, 0.1), matchingVolume(0.1, 0.1), matchingVolume(0, 0)], [0.5, 1, 1]);
});

test("times are written and read", () => {
  assert.deepEqual([clock(0), clock(59.6), clock(601), clock(3725), clock(8.0042, 3), clock(59.9996, 3)], ["0:00", "1:00", "10:01", "1:02:05", "0:08.004", "1:00.000"]);
  assert.deepEqual([parseClock("1:02.5"), parseClock("62,5"), parseClock("1:00:00")], [62.5, 62.5, 3600]);
  for (const text of ["", "x", "1:", "-3", "1:2:3:4"]) assert.ok(Number.isNaN(parseClock(text)), text);
  assert.deepEqual([bytes(0), bytes(999), bytes(6336484623), bytes(1500)], ["0 B", "999 B", "6.3 GB", "1.5 kB"]);
});

test("a sound is dragged out with its type and its name", () => {
  const out = dragged({ type: "audio/wav", name: "a b.wav", address: "/studio/sounds/j/0/a%20b.wav" }, "http://127.0.0.1:9702");
  assert.deepEqual(out, { DownloadURL: "audio/wav:a b.wav:http://127.0.0.1:9702/studio/sounds/j/0/a%20b.wav", "text/uri-list": "http://127.0.0.1:9702/studio/sounds/j/0/a%20b.wav" });
});
