// What somebody sent to this host from the studio page: taken out of the spool folder by renaming its file, so that of several scripts
// that look, one has it.
"use strict";

const fs = require("fs");
const path = require("path");

const FORMAT = "acestep-bridge/handover", VERSION = 1;

function fileOf(folder, host) {
  return path.join(folder, `handover-${host}.json`);
}

// Whether something waits for a host.
function waits(folder, host) {
  return fs.existsSync(fileOf(folder, host));
}

// Take all that waits for a host: a list of {title, job (as job.result gives one)}. `mark` is a name that no other script uses.
function take(folder, host, mark) {
  const own = path.join(folder, `handover-${mark}.taken`);
  try {
    fs.renameSync(fileOf(folder, host), own);
  } catch (failure) {
    return []; // another script was quicker
  }
  try {
    const data = JSON.parse(fs.readFileSync(own, "utf8"));
    return data.format === FORMAT && data.version === VERSION ? data.results || [] : [];
  } catch (failure) {
    return []; // not ours
  } finally {
    fs.unlinkSync(own);
  }
}

// What has to be known to place it: on new tracks, from a sample of the timeline on.
function pending(sent, id, position, rate) {
  const place = { origin: position, first: position, last: position, rate };
  return { id, group: id, press: id, action: "generate", place: "track", title: `Sent: ${sent.title}`, operation: sent.job.operation, ...place };
}

module.exports = { waits, take, pending };
