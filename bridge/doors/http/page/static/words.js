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

export function setWords(given, fallback = {}) {
  words = given;
  english = fallback;
}

export const has = (key) => key in words || key in english;

export function t(key, values = {}) {
  const text = words[key] ?? english[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export function preferred(stored, offered) {
  for (const one of [stored, ...offered]) {
    const code = String(one ?? "").slice(0, 2).toLowerCase();
    if (LANGUAGES[code]) return code;
  }
  return "en";
}
