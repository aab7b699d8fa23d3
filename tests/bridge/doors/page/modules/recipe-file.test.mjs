// The recipe in a WAV of ours.

import assert from "node:assert/strict";
import { test } from "node:test";
import { recipeOf } from "../../../../../bridge/doors/http/page/static/recipe-file.js";

const chunk = (kind, body, size = body.length) => {
  const head = Buffer.alloc(8);
  head.write(kind, 0, "latin1");
  head.writeUInt32LE(size, 4);
  return Buffer.concat([head, body, Buffer.alloc(body.length % 2)]);
};
const wave = (...chunks) => new Blob([Buffer.from("RIFF\0\0\0\0WAVE", "latin1"), ...chunks]);
const ixml = (text) => chunk("iXML", Buffer.from(`<?xml version="1.0"?><BWFXML><USER>${text}</USER></BWFXML>`));
const sound = chunk("data", Buffer.alloc(333));

test("found behind other chunks, also behind one of odd length", async () => {
  const recipe = { request: { conditioning: { caption: "a & b <c>" } } };
  const text = JSON.stringify(recipe).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  assert.deepEqual(await recipeOf(wave(chunk("fmt ", Buffer.alloc(16)), sound, ixml(text))), recipe);
});

test("a file of more than 4 GB says the length of its sound elsewhere", async () => {
  const ds64 = Buffer.alloc(28);
  ds64.writeBigUInt64LE(334n, 8);
  const file = new Blob([Buffer.from("RF64\xff\xff\xff\xffWAVE", "latin1"), chunk("ds64", ds64), chunk("data", Buffer.alloc(334), 0xffffffff), ixml("{}")]);
  assert.deepEqual(await recipeOf(file), {});
});

test("what is no WAV, has no recipe, or a broken one, has none", async () => {
  const none = [new Blob([]), new Blob(["RIFF"]), new Blob(["{}".repeat(20)]), wave(), wave(sound), wave(ixml("not json")), wave(chunk("iXML", Buffer.from("<BWFXML/>"))), wave(ixml("3")), wave(ixml("null")), wave(chunk("iXML", Buffer.alloc(0), 0xfffffff0))];
  for (const file of none) assert.equal(await recipeOf(file), null);
});
