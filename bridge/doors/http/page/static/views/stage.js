// One stage of a chain: its settings, what it goes on from, and the ways to move it.

import { SOURCE } from "../chain.js";
import { button, el, iconButton, newId } from "../dom.js";
import { drawCurve } from "../draw.js";
import { Form } from "../form.js";
import { has, t } from "../words.js";
import { assistant } from "./assist.js";
import { chosenSource, fillSources } from "./chain-sources.js";

const SHORT = ["model", "steps", "shift", "sampler", "guidance_scale", "t_start", "strength", "mode", "track", "tracks", "seed", "memory", "checkpoint_step", "preview", "caption"];
const SAMPLES = { start_seconds: ["start"], end_seconds: ["end", "length"] }; // the words of a region that a second replaces

// What a kind of stage is called.
export const kindName = (type) => (has(`operation.${type}`) ? t(`operation.${type}`) : type);

// The card of the stage at an index. `about`: {stage, at, count, kind (of describe), shared (fields), summary}; `acts`: move, remove, changed, dragging.
export function stageCard(app, { stage, at, count, kind, shared, summary }, acts) {
  const number = at + 1, form = new Form(kind ? [...shared, ...kind.fields] : [], { values: stage.values, short: SHORT, changed: () => acts.changed(), find: true, folded: true });
  const region = { ...stage.region };
  const from = el("select", { id: newId("from"), on: { change: () => acts.changed() } });
  const wrong = el("p", { class: "error", hidden: true }), curve = el("canvas", { class: "curve", role: "img" });
  const times = el("details", { class: "group", hidden: true, on: { toggle: () => drawTimes() } }, el("summary", {}, t("create.curve")), curve);
  let values = [];

  const seconds = (name) => {
    const input = el("input", { id: newId(name), type: "text", inputmode: "decimal", autocomplete: "off", class: "num", data: { region: name }, on: { change: () => {
      const text = input.value.trim().replace(",", "."), right = text === "" || Number(text) >= 0;
      input.setAttribute("aria-invalid", String(!right));
      if (!right) return;
      for (const other of [name, ...SAMPLES[name]]) delete region[other];
      if (text !== "") region[name] = Number(text);
      acts.changed();
    } } });
    input.value = region[name] ?? "";
    return el("div", { class: "field" }, el("label", { for: input.id }, t(`pipeline.${name}`)), input);
  };

  const grip = el("span", { class: "grip", role: "button", tabindex: "0", draggable: "true", "aria-label": t("pipeline.grip", { number }), title: t("pipeline.grip", { number }), data: { act: "grip" }, on: {
    keydown: (event) => {
      const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: count - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      acts.move(at, to, "grip");
    },
    dragstart: (event) => { event.dataTransfer.setData("text/x-stage", String(at)); event.dataTransfer.effectAllowed = "move"; setTimeout(acts.dragging, 0, true); }, // changed at once, the list would end the drag
    dragend: () => acts.dragging(false),
  } }, "⠿");
  const works = kind?.source !== "none";
  const element = el("li", { class: "panel", data: { stage: at }, "aria-label": t("pipeline.stage", { number, type: kindName(stage.type) }), on: {
    dragover: (event) => { if (event.dataTransfer.types.includes("text/x-stage")) { event.preventDefault(); element.classList.add("over"); } },
    dragleave: () => element.classList.remove("over"),
    drop: (event) => {
      element.classList.remove("over");
      const dragged = event.dataTransfer.getData("text/x-stage");
      if (dragged === "") return;
      event.preventDefault();
      acts.move(Number(dragged), at, "grip");
    },
  } },
    el("div", { class: "stage-head" }, grip, el("h3", {}, kindName(stage.type)), el("span", { class: "row" },
      iconButton("up", t("pipeline.up", { number }), () => acts.move(at, at - 1, "up"), { disabled: at === 0, data: { act: "up" } }),
      iconButton("down", t("pipeline.down", { number }), () => acts.move(at, at + 1, "down"), { disabled: at === count - 1, data: { act: "down" } }),
      button(t("assist.title"), () => assistant(app, form), { "aria-label": t("pipeline.assist", { number }), data: { act: "assist" } }),
      iconButton("trash", t("pipeline.remove", { number }), () => acts.remove(at), { data: { act: "remove" } }))),
    summary ? el("p", { class: "soft" }, summary) : "", wrong,
    works ? el("div", { class: "fields" }, el("div", { class: "field" }, el("label", { for: from.id }, t("pipeline.from")), from), seconds("start_seconds"), seconds("end_seconds")) : "",
    form.element, times);

  const worksOn = () => (works && from.options.length ? chosenSource(from) : stage.from);

  function drawTimes() {
    if (!times.open || !curve.isConnected || !values.length) return;
    drawCurve(curve, values);
    curve.setAttribute("aria-label", t("create.curve_label", { steps: values.length - 1, values: values.map((one) => one.toFixed(2)).join(", ") }));
  }

  return {
    element, form,
    // What the card says; what its form does not know stays as it was.
    get stage() {
      const unknown = Object.entries(stage.values).filter(([name]) => !form.has(name));
      return { ...stage, from: worksOn(), region, values: { ...Object.fromEntries(unknown), ...form.values } };
    },
    offer(stages, places) {
      const earlier = stages.slice(0, at).map((one, n) => ({ value: n, words: t("pipeline.from_stage", { number: n + 1, type: kindName(one.type) }) })).reverse();
      fillSources(from, worksOn(), [...earlier, { value: SOURCE, words: t("pipeline.from_source") }], places);
    },
    tell(words) {
      wrong.textContent = words;
      wrong.hidden = !words;
    },
    showTimes(found) {
      values = found;
      times.hidden = !found.length;
      drawTimes();
    },
    focusSource() { (works ? from : grip).focus(); },
  };
}
