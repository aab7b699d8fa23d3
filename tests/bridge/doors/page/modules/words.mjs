// The page's own words of a language, as the page would fetch them.

import { readFileSync } from "node:fs";
import { setWords } from "../../../../../bridge/doors/http/page/static/words.js";

export const read = (code) => JSON.parse(readFileSync(new URL(`../../../../../bridge/doors/http/page/static/words/${code}.json`, import.meta.url), "utf8"));

export const readWords = (code) => setWords(code === "en" ? {} : read(code), read("en"), code);
