// What outlives Live: the jobs a set waits for, the results that wait to be chosen from, its last values, and how its results
// were made. Small files beside its new audio. A folder may hold several sets, and a set several devices: each job has a file of its
// own, which names its set, and of the devices that follow a job, the one that can rename its file places the result.
// A set that was never saved has no folder: it keeps only how results were made, in the user's music.
"use strict";

const fs = require("fs");
const os = require("os");
const path = require("path");

const recipes = require("./recipes.js");

const UNSAVED = path.join(os.homedir(), "Music", "acestep-bridge");
const DEVICE = `${process.pid.toString(36)}-${Date.now().toString(36)}`; // tells this device from the others of the set

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
  const draft = `${file}.${DEVICE}.tmp`;
  fs.writeFileSync(draft, JSON.stringify({ format: `acestep-bridge/${format}`, version: 1, ...data }));
  fs.renameSync(draft, file);
}

// Do something with the file of a job: false when another device has taken it away. (Whoever deletes the whole folder takes no job.)
function unlessTaken(file, work) {
  try {
    work();
  } catch (failure) {
    if (failure.code !== "ENOENT") throw failure;
    return !fs.existsSync(path.dirname(file));
  }
  return true;
}

class Store {
  constructor() { Object.assign(this, { folder: "", set: "", last: {}, files: new Map() }); } // `files` of jobs, by id; `last` values

  // The set has this folder and name from now on; jobs that it waits for already go with it.
  open(folder, set, jobs) {
    Object.assign(this, { folder, set });
    for (const job of jobs) {
      const before = this.files.get(job.id);
      this.keep(job, this.fileOf(job.id));
      if (before && before !== this.files.get(job.id)) unlessTaken(before, () => fs.unlinkSync(before));
    }
  }

  // Where new audio is copied to.
  get media() { return this.folder || UNSAVED; }

  file(name) { return path.join(this.media, name); }

  // The jobs that the set waits for, oldest first, and those (with `landings`) whose results wait to be chosen from.
  pending() {
    const waiting = this.file("pending-device"), found = [];
    if (!this.folder || !fs.existsSync(waiting)) return found;
    for (const name of fs.readdirSync(waiting).filter((known) => known.endsWith(".json"))) {
      const { set, job } = read(path.join(waiting, name), "job");
      if (set !== this.set) continue;
      this.files.set(job.id, path.join(waiting, name));
      found.push(job);
    }
    return found.sort((one, other) => one.asked - other.asked);
  }

  fileOf(name) { return this.file(path.join("pending-device", `${name}.json`)); }

  // Write a job down.
  keep(job, file = this.files.get(job.id) || this.fileOf(job.id)) {
    if (!this.folder) return;
    write(file, "job", { set: this.set, job });
    this.files.set(job.id, file);
  }

  // Make a job this device's own before its results are fetched: false when another device of the set has it.
  claim(id) {
    const file = this.files.get(id);
    if (!file) return true;
    const own = this.fileOf(`${id}.${DEVICE}`);
    const claimed = unlessTaken(file, () => fs.renameSync(file, own));
    if (claimed) this.files.set(id, own);
    return claimed;
  }

  // The set waits for a job no longer: false when another device has seen to it.
  drop(id) {
    const file = this.files.get(id);
    const dropped = !file || unlessTaken(file, () => fs.unlinkSync(file));
    this.files.delete(id);
    return dropped;
  }

  values(operation) { return this.last[operation] || (this.folder && this.choices()[operation]) || {}; }

  keepValues(operation, values) {
    if (this.folder) write(this.file("choices.json"), "choices", { actions: { ...this.choices(), [operation]: values } });
    this.last[operation] = values;
  }

  choices() { return read(this.file("choices.json"), "choices").actions || {}; }

  // How the result was made whose copy a file is; null for other files.
  memory(fileName) {
    const job = recipes.owner(fileName);
    const found = job ? read(this.file(`${job}.recipe.json`), "take") : {};
    return found.pending ? found : null;
  }

  remember(memory) { write(this.file(`${memory.pending.id}.recipe.json`), "take", memory); }
}

module.exports = { Store };
