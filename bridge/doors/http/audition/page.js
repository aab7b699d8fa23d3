// The audition page: a list of results that follows the daemon, one sound at a time, all brought to the same loudness.

import { clock, dragged, matchingGain } from "/audition/sounds.js";

const EVERY_MS = 2000;

const list = document.getElementById("jobs");
const state = document.getElementById("state");
const level = document.getElementById("level");
const loop = document.getElementById("loop");

const buffers = new Map(); // address -> promise of an AudioBuffer; the page holds a few songs, not a library
const KEPT = 8;
let audio = null; // made at the first click, as browsers demand
let playing = null; // {address, source}
let shown = "";

function element(name, words, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = words;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

async function load(address) {
  if (!buffers.has(address)) {
    const made = fetch(address).then((answer) => {
      if (!answer.ok) throw new Error("this sound is not there any more");
      return answer.arrayBuffer();
    }).then((bytes) => audio.decodeAudioData(bytes));
    made.catch(() => buffers.delete(address));
    buffers.set(address, made);
    if (buffers.size > KEPT) buffers.delete(buffers.keys().next().value);
  }
  return buffers.get(address);
}

function stop() {
  if (playing) playing.source.stop();
  playing = null;
  mark();
}

async function play(sound) {
  audio ??= new AudioContext();
  stop();
  try {
    const buffer = await load(sound.address);
    const source = new AudioBufferSourceNode(audio, { buffer, loop: loop.checked });
    const channels = Array.from({ length: buffer.numberOfChannels }, (_, index) => buffer.getChannelData(index));
    const gain = new GainNode(audio, { gain: level.checked ? matchingGain(channels) : 1 });
    stop();
    playing = { address: sound.address, source };
    source.connect(gain).connect(audio.destination);
    source.onended = () => { if (playing?.source === source) { playing = null; mark(); } };
    source.start();
    state.textContent = "";
  } catch (error) {
    state.textContent = `${sound.name} cannot be played: ${error.message}`;
  }
  mark();
}

function toggle(sound) {
  if (playing?.address === sound.address) stop();
  else play(sound);
}

function mark() {
  for (const row of list.querySelectorAll("li")) {
    const on = playing?.address === row.dataset.address;
    row.setAttribute("aria-current", String(on));
    row.querySelector("button").textContent = on ? "Stop" : "Listen";
  }
}

function soundRow(sound) {
  const row = element("li", "", { draggable: "true", tabindex: "0", "data-address": sound.address });
  const words = [sound.track, `variant ${sound.variant + 1}`, sound.name].filter(Boolean).join(" · ");
  row.append(element("button", "Listen", { type: "button", tabindex: "-1" }), element("span", words, { class: "name" }),
    element("span", clock(sound.seconds), { class: "length" }),
    element("a", "Save", { href: sound.address, download: sound.name }));
  row.querySelector("button").addEventListener("click", () => { row.focus(); toggle(sound); });
  row.addEventListener("dragstart", (event) => {
    for (const [type, value] of Object.entries(dragged(sound, location.origin))) event.dataTransfer.setData(type, value);
    event.dataTransfer.effectAllowed = "copy";
  });
  row.addEventListener("keydown", (event) => {
    const rows = [...list.querySelectorAll("li")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === " " && event.target === row) toggle(sound);
    else if (step) rows[rows.indexOf(row) + step]?.focus();
    else return;
    event.preventDefault();
  });
  return row;
}

function jobSection(job) {
  const section = element("section", "");
  const when = job.ended ? new Date(job.ended * 1000).toLocaleString() : "";
  section.append(element("h2", [job.operation, job.caption].filter(Boolean).join(": ")));
  section.append(element("p", [when, ...job.notes].join(" · "), { class: "facts" }));
  const rows = element("ul", "");
  rows.append(...job.sounds.map(soundRow));
  section.append(rows);
  return section;
}

async function refresh() {
  try {
    const answer = await fetch("/audition/results");
    if (!answer.ok) throw new Error(await answer.text());
    const { jobs } = await answer.json();
    if (!playing) state.textContent = jobs.length ? "" : "No results yet. What your host generates appears here.";
    const ids = jobs.map((job) => job.id).join();
    if (ids === shown) return;
    shown = ids;
    const focused = document.activeElement?.dataset?.address;
    list.replaceChildren(...jobs.map(jobSection));
    if (focused) list.querySelector(`li[data-address="${CSS.escape(focused)}"]`)?.focus();
    mark();
  } catch {
    state.textContent = "The daemon does not answer; start it with: acestep-bridge serve";
  }
}

await refresh();
setInterval(refresh, EVERY_MS);
