// Bars, beats, windows and regions, by known values.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Grid, Window, readMetre, region, regionFault, secondLines } from "../../../../../bridge/doors/http/page/static/waveform.js";

test("bars 5 to 8 at 120 bpm are samples 384000 to 768000", () => {
  const grid = new Grid(48000, 120);
  assert.deepEqual([grid.sampleOfBar(5), grid.sampleOfBar(9)], [384000, 768000]);
  assert.deepEqual([grid.read("5"), grid.read("9"), grid.read("5.3"), grid.name(432000)], [384000, 768000, 432000, "5.3"]);
});

test("bar 1 may lie anywhere, also before the sound begins", () => {
  assert.equal(new Grid(48000, 120, "4/4", 14400).sampleOfBar(1), 14400);
  assert.equal(new Grid(48000, 120, "4/4", -96000).sampleOfBar(3), 96000);
  assert.equal(new Grid(48000, 120, "4/4", 14400).name(0), "0.4");
});

test("the tempo counts quarters, whatever the metre's unit", () => {
  assert.equal(new Grid(48000, 120, "6/8").bar, 72000);
  assert.equal(new Grid(48000, 96, "3/4").bar, 90000);
  assert.deepEqual([readMetre("6"), readMetre("7/8"), readMetre("x"), readMetre("")], [[6, 8], [7, 8], [4, 4], [4, 4]]);
});

test("what is no place in bars is refused", () => {
  const grid = new Grid(44100, 93.5, "3/4");
  for (const text of ["", "x", "5.4", "5.0", "5.", "1e3", "5.1.1"]) assert.ok(Number.isNaN(grid.read(text)), text);
});

test("snapping takes the nearest line, and none when it is off", () => {
  const grid = new Grid(48000, 120);
  assert.deepEqual([grid.snap(50000, "bar"), grid.snap(47999, "bar"), grid.snap(37000, "beat"), grid.snap(37000.4, "off")], [96000, 0, 48000, 37000]);
});

test("the ruler never has more lines than there is room for", () => {
  const grid = new Grid(48000, 174, "4/4", 123);
  for (const seconds of [0.5, 4, 60, 3600, 7200]) assert.ok(grid.lines(0, seconds * 48000, 20).length <= 41, String(seconds));
  assert.deepEqual(new Grid(48000, 120).lines(0, 192000, 20).map((line) => line.bar), [1, null, null, null, 2, null, null, null, 3]);
  assert.ok(secondLines(0, 7200 * 48000, 48000, 12).length <= 13);
});

test("zooming keeps the sample under the pointer where it is", () => {
  const window = new Window(960000, 1000);
  window.zoom(4, 480000);
  assert.equal(Math.round(window.xAt(480000)), 500);
  assert.equal(window.span, 240000);
  window.zoom(1e9, 480000);
  assert.equal(window.span, 256);
  window.zoom(1e-9);
  assert.deepEqual([window.start, window.end], [0, 960000]);
});

test("a window never leaves the sound", () => {
  const window = new Window(1000, 100);
  window.show(-500, 0);
  assert.equal(window.start, 0);
  window.show(900, 1500);
  assert.deepEqual([window.start, window.end], [400, 1000]);
  window.scroll(10_000);
  assert.equal(window.end, 1000);
});

test("a region has its ends in order, whole and inside", () => {
  assert.deepEqual(region(700.4, -5, 500), { start: 0, end: 500 });
});

test("regions that cannot be are told apart", () => {
  const faults = [[], [{ start: 5, end: 5 }], [{ start: NaN, end: 5 }], [{ start: 0, end: 101 }], [{ start: 0, end: 50 }, { start: 49, end: 60 }], [{ start: 50, end: 60 }, { start: 0, end: 50 }]];
  assert.deepEqual(faults.map((one) => regionFault(one, 100)), ["edit.fault.none", "edit.fault.empty", "edit.fault.number", "edit.fault.outside", "edit.fault.overlap", ""]);
});
