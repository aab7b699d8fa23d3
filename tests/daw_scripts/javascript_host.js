// Reads {modules folder, cases} from standard input, calls each case, writes the answers as one JSON list.
"use strict";
const path = require("path");
const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const answers = input.cases.map(({ module, call, args }) => {
  const value = require(path.join(input.folder, module + ".js"))[camel(call)](...args);
  if (value && typeof value === "object" && !Array.isArray(value)) {
    if (value.refusal !== undefined && Object.keys(value).length === 1) return { value: null, refusal: value.refusal };
    for (const key of ["passages", "cut", "status"]) {
      if (value[key] !== undefined && Object.keys(value).length === 1) return { value: value[key] };
    }
  }
  return { value: value === undefined ? null : value };
});
process.stdout.write(JSON.stringify(answers));
