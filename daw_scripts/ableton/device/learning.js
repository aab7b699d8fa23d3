// A set's audio as a dataset to train on: what is asked of the daemon, and what is told of the answer (Node for Max).
"use strict";

const fs = require("fs");
const path = require("path");

const dataset = require("./dataset.js");
const requests = require("./requests.js");
const { sentence, trouble } = require("./sentences.js");
const settings = require("./settings.js");

const OPERATION = "dataset-scan";

// What is sent for the pieces of a set (see pieces.js), and what is said meanwhile: {pending, method, params, said}. Throws the sentence that
// forbids it.
function order({ pieces, recorded }, { folder, set }, id) {
  if (!folder) throw trouble({ code: "unsaved_project" });
  const gone = pieces.find((piece) => !fs.existsSync(piece.path));
  if (gone) throw trouble({ code: "offline_media", path: gone.path });
  const name = dataset.name(path.parse(set).name);
  const params = dataset.params(name, pieces.map((piece) => ({ ...piece, song: name })));
  if (params.refusal) throw trouble(params.refusal);
  const { title } = requests.action(settings.actions, "dataset");
  return {
    pending: { id, press: id, title, operation: OPERATION, learns: { recorded } },
    method: "job.submit", params: { operation: OPERATION, params },
    said: sentence({ code: "dataset_asked", name, count: params.regions.length }),
  };
}

// What a dataset holds once it is there, and how much of it is not as it sounds.
function told({ learns: { recorded } }, view) {
  return [dataset.made(view.result.data), ...(recorded ? [{ code: "dataset_recorded", count: recorded }] : [])].map(sentence).join(" ");
}

module.exports = { order, told };
