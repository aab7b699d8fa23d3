// Gradio's own JavaScript client, as ace-step-ui uses it: 50 values, uploads, downloads, progress, cancel.
// node client.mjs NODE_MODULES ADDRESS SONG [TOKEN]: prints one JSON object.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [modules, address, song, token] = process.argv.slice(2);
const { Client, handle_file } = await import(pathToFileURL(`${modules}/@gradio/client/dist/index.js`));
const headers = token ? { Authorization: `Bearer ${token}` } : {};

const values = (changes) =>
  Object.assign(
    [
      "fake: steps=3", "", 96, "A minor", "4/4", "en", 8, 7.0, false, "5,6", null, 2.0, 2, null, "", 0.0, -1, "", 1.0,
      "text2music", false, 0.0, 1.0, 3.0, "ode", "", "wav", 0.85, false, 2.0, 0, 0.9, "", true, true, true, false, false,
      true, false, false, 0.5, 8, null, [], false, 0, 1, [], {},
    ],
    changes,
  );

const said = {};
const client = await Client.connect(address, { events: ["data", "status"], headers });
said.endpoints = Object.keys((await client.view_api()).named_endpoints);

const made = await client.predict("/generation_wrapper", values({}));
said.made = made.data;
const answer = await fetch(made.data[0].url, { headers });
said.download = { status: answer.status, type: answer.headers.get("content-type"), bytes: (await answer.arrayBuffer()).byteLength };
const part = await fetch(made.data[0].url, { headers: { ...headers, Range: "bytes=0-3" } });
said.range = { status: part.status, text: await part.text() };

const upload = handle_file(new Blob([await readFile(song)], { type: "audio/wav" }));
const cover = await client.predict("/generation_wrapper", values({ 0: "fake: steps=1", 12: 1, 13: upload, 19: "cover" }));
said.cover = cover.data;

// A result goes back in as it came out.
const again = await client.predict("/generation_wrapper", values({ 0: "fake: steps=1", 12: 1, 13: made.data[0], 19: "cover" }));
said.again = again.data;

said.progress = [];
const long = client.submit("/generation_wrapper", values({ 0: "fake: steps=600 delay=0.05", 12: 1 }));
for await (const event of long) {
  if (event.type !== "status") continue;
  said.progress.push(event.stage);
  if (event.progress_data?.[0]?.progress > 0 && !said.unit) {
    said.unit = event.progress_data[0];
    await long.cancel();
    break;
  }
}

try {
  await client.predict("/generation_wrapper", values({ 19: "stem_separation" }));
} catch (error) {
  said.refused = String(error.message ?? error);
}

for (const [name, data] of [
  ["/load_random_simple_description", []], ["/load_lora", ["/nowhere/velvet"]], ["/set_lora_scale", [0.5]], ["/set_use_lora", [true]],
  ["/unload_lora", []], ["/init_service_wrapper", ["", "nano", "auto", false, "", "vllm", false, false, false, false, false]],
]) {
  said[name] = (await client.predict(name, data)).data;
}
console.log(JSON.stringify(said));
process.exit(0);
