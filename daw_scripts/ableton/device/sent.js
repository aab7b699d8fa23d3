// What was sent to Live from the studio page: looked for in the daemon's spool folder, taken once the set says where it plays (Node for Max).
"use strict";

const fs = require("fs");

const { spool } = require("./daemon.js");
const handover = require("./handover.js");
const { samples } = require("./placement.js");
const { trouble } = require("./sentences.js");

const HOST = "ableton";
const RATE = 48000; // at which places in the set are counted for it

class Sent {
  // `media()` is the folder that gets copies; `put(job, view)` places a result.
  constructor(media, put) { Object.assign(this, { media, put, blocked: "" }); }

  // Whether something waits and can be copied into the set's folder. Throws the sentence on a folder that takes no files, once.
  waits() {
    if (!handover.waits(spool(), HOST)) return false;
    const folder = this.media(), told = this.blocked;
    this.blocked = isWritable(folder) ? "" : folder;
    if (this.blocked && this.blocked !== told) throw trouble({ code: "readonly_media_folder", path: folder });
    return !this.blocked;
  }

  // Place all of it, from a beat on; `newId()` gives names that no other job has.
  place(beat, tempo, newId) {
    const position = samples(beat * 60 / tempo, RATE);
    for (const one of handover.take(spool(), HOST, newId())) this.put({ ...handover.pending(one, newId(), position, RATE), beat, tempo }, one.job);
  }
}

function isWritable(folder) {
  try {
    fs.mkdirSync(folder, { recursive: true });
    fs.accessSync(folder, fs.constants.W_OK);
    return true;
  } catch (failure) {
    return false;
  }
}

module.exports = { Sent };
