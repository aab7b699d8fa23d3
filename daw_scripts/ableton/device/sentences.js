// What the device says: the shared sentences (Node for Max).
"use strict";

const requests = require("./requests.js");
const settings = require("./settings.js");

function sentence(facts) {
  return requests.sentence(settings.messages, facts);
}

// An error that is a sentence of the shared list.
function trouble(facts) {
  return { code: facts.code, message: sentence(facts) };
}

module.exports = { sentence, trouble };
