// What outlives Live: the jobs a set waits for, the results that wait to be chosen from, its last values, and how its results
// were made. Small files beside its new audio.
// A set that was never saved has no folder: it keeps only how results were made, in the user's music.
"use strict";

const fs = require("fs");
const os = require("os");
const path = require("path");

const recipes = require("./recipes.js");

const UNSAVED = path.join(os.homedir(), "Music", "acestep-bridge");

function read(file, format) {
  try {
    const data = JSON.parse(fs.readFileSync(file, "utf8"));
    return data.format === `acestep-bridge/${format}` ? data : {};
  } catch (failure) {
    return {}; // not there yet, or damaged: as if nothing was remembered
  }
}

function write(file, format, data) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(`${file}.tmp`, JSON.stringify({ format: `acestep-bridge/${format}`, version: 1, ...data }));
  fs.renameSync(`${file}.tmp`, file);
}

class Store {
  constructor() { this.folder = ""; }

  // Where new audio is copied to.
  get media() { return this.folder || UNSAVED; }

  file(name) { return path.join(this.media, name); }

  pending() { return (this.folder && read(this.file("pending-device.json"), "pending").jobs) || []; }

  keepPending(jobs) { if (this.folder) write(this.file("pending-device.json"), "pending", { jobs }); }

  values(operation) { return (this.folder && (read(this.file("choices.json"), "choices").actions || {})[operation]) || {}; }

  keepValues(operation, values) {
    if (!this.folder) return;
    const known = read(this.file("choices.json"), "choices").actions || {};
    write(this.file("choices.json"), "choices", { actions: { ...known, [operation]: values } });
  }

  // How the result was made whose copy a file is; null for other files.
  memory(fileName) {
    const job = recipes.owner(fileName);
    const found = job ? read(this.file(`${job}.recipe.json`), "take") : {};
    return found.pending ? found : null;
  }

  remember(memory) { write(this.file(`${memory.pending.id}.recipe.json`), "take", memory); }
}

module.exports = { Store };
