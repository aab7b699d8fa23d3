// The words of the page, one file a language; what a language lacks is said in English.

export const LANGUAGES = { en: "English", zh: "中文", ja: "日本語" };

let words = {};
let english = {};
export let language = "en";

const read = async (code) => (await fetch(`/studio/static/words/${code}.json`)).json();

export async function loadWords(code) {
  const found = LANGUAGES[code] ? code : "en";
  [english, words] = await Promise.all([read("en"), found === "en" ? {} : read(found)]);
  language = found;
  document.documentElement.lang = found;
}

export function setWords(given, fallback = {}, code = "en") {
  words = given;
  english = fallback;
  language = code;
}

export const has = (key) => key in words || key in english;

export function t(key, values = {}) {
  const own = key in words;
  const text = chosen(words[key] ?? english[key] ?? key, values, own ? language : "en");
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

// "{count:one result|{count} results}": the first form for what the language counts as one, the other for the rest.
const FORMS = /\{(\w+):((?:[^{}|]|\{\w+\})*)\|((?:[^{}|]|\{\w+\})*)\}/g;

function chosen(text, values, code) {
  return text.replace(FORMS, (_, name, one, other) => (new Intl.PluralRules(code).select(Number(values[name])) === "one" ? one : other));
}

export function preferred(stored, offered) {
  for (const one of [stored, ...offered]) {
    const code = String(one ?? "").slice(0, 2).toLowerCase();
    if (LANGUAGES[code]) return code;
  }
  return "en";
}
