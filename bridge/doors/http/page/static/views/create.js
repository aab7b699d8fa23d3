// Create: one sentence that the planner turns into a song's description, or every field by hand.

import { drafts, sentence } from "../app.js";
import { contradictions, timesteps } from "../checks.js";
import { deviceChoice } from "../device.js";
import { button, el, newId, segments } from "../dom.js";
import { drawCurve } from "../draw.js";
import { Form } from "../form.js";
import { recipeOf } from "../recipe-file.js";
import { settingsOf } from "../settings.js";
import { sendFile } from "../upload.js";
import { standingOrder } from "./autogen.js";
import { assistant, prompts, requestDialog } from "./assist.js";
import { language, t } from "../words.js";

const SHORT = ["caption", "lyrics", "instrumental", "language", "duration", "bpm", "key", "time_signature", "seed", "format", "model", "steps"];
const PROPOSAL = ["caption", "lyrics", "instrumental", "language", "duration", "bpm", "key", "time_signature"];
const PROPOSED = [...PROPOSAL, "genres"];
const OMIT = ["variants", "length", "folder", "span_start", "span_end", "returns"];
const MOST = 8;

export function createView(app) {
  const draft = { mode: "simple", sentence: "", values: {}, variants: 2, auto: false, proposed: false, ...drafts.read("create", {}) };
  const keep = () => drafts.write("create", draft);
  let form = null, proposal = null, told = [];

  const mode = segments(t("create.mode"), [["simple", t("create.simple")], ["custom", t("create.custom")]], draft.mode, (value) => { take(); draft.mode = value; keep(); show(); });
  const error = el("p", { class: "error", role: "alert", hidden: true });
  const state = el("p", { class: "soft", role: "status" });

  // Simple

  const sentenceId = newId("sentence");
  const sentenceBox = el("textarea", { id: sentenceId, rows: 3, maxlength: 4096, placeholder: t("create.sentence_example"), on: { input: () => { draft.sentence = sentenceBox.value; keep(); } } });
  sentenceBox.value = draft.sentence;
  const propose = button(t("create.propose"), () => plan(), { class: "go" });
  const proposalPlace = el("div", {});
  const simple = el("div", { class: "panel" },
    el("div", { class: "field wide" }, el("label", { for: sentenceId }, t("create.sentence")), sentenceBox),
    el("div", { class: "row" }, propose, button(t("create.use_sentence"), () => useSentence()), button(t("create.random"), () => example())));

  // Custom

  const formPlace = el("div", {}), warnings = el("div", { class: "regions", role: "status" });
  const curve = el("canvas", { class: "curve", role: "img" });
  const curveBox = el("details", { class: "group", on: { toggle: () => drawSteps() } }, el("summary", {}, t("create.curve")), curve);
  const custom = el("div", { class: "panel" },
    el("div", { class: "row" },
      button(t("assist.title"), () => assistant(app, form), { data: { act: "assist" } }), button(t("create.random"), () => example()), button(t("create.improve"), () => improve()),
      button(t("prompts.title"), () => prompts(app, (values) => use(values))), button(t("create.import"), () => importSettings(), { data: { act: "import" } }), button(t("create.describe_codes"), () => describeCodes(), { data: { act: "describe-codes" } }), button(t("create.json"), () => showRequest(), { data: { act: "json" } })),
    formPlace, warnings, curveBox);

  // Both

  const count = segments(t("create.takes"), Array.from({ length: MOST }, (_, n) => [String(n + 1), String(n + 1)]), String(draft.variants), (value) => { draft.variants = Number(value); keep(); });
  const auto = el("input", { type: "checkbox", id: newId("auto"), checked: draft.auto, on: { change: () => { draft.auto = auto.checked; keep(); } } });
  const order = standingOrder(app), device = deviceChoice(app);
  const go = button(t("create.run"), () => run(), { class: "go", data: { act: "create" } });
  const bottom = el("div", { class: "panel" },
    el("div", { class: "head" },
      el("div", { class: "row" }, el("span", { class: "soft", id: newId("takes") }, t("create.takes")), count, device.element),
      el("div", { class: "row" }, auto, el("label", { for: auto.id }, t("create.auto")), go)),
    el("p", { class: "soft" }, t("create.auto_help")), order.element);

  const element = el("section", {}, el("div", { class: "head" }, el("div", {}, el("h2", {}, t("create.title")), el("p", { class: "lead" }, t("create.lead"))), mode),
    error, simple, proposalPlace, custom, bottom, state);

  const fields = () => app.fieldsOf("generate", draft.values.model);

  function build() {
    if (!fields().length) return;
    if (!app.knows(draft.values.model)) return app.know(draft.values.model).then(build, () => {}); // a lost connection tells itself
    take();
    form = new Form(fields(), { values: draft.values, short: SHORT, omit: OMIT, find: true, changed: changed });
    formPlace.replaceChildren(form.element);
    if (draft.proposed) buildProposal();
    changed();
  }

  function buildProposal() {
    const chosen = fields().filter((field) => PROPOSAL.includes(field.name));
    proposal = new Form(chosen, { values: draft.values, short: PROPOSAL, changed: () => { take(); keep(); } });
    const place = el("div", { class: "panel", data: { part: "proposal" } }, el("h3", {}, t("create.proposal"), button(t("create.to_custom"), () => { take(); mode.choose("custom"); draft.mode = "custom"; keep(); show(); }, { class: "plain" })), el("p", { class: "soft" }, t("create.proposal_help")),
      el("ul", { class: "soft", data: { part: "assumed" }, hidden: !told.length }, told.map((note) => el("li", {}, note))), proposal.element);
    proposalPlace.replaceChildren(place);
  }

  // What the visible form says becomes the draft.
  function take() {
    if (draft.mode === "simple" && proposal) {
      for (const name of PROPOSAL) delete draft.values[name];
      Object.assign(draft.values, proposal.values);
    } else if (draft.mode === "custom" && form) draft.values = form.values;
  }

  function changed(name) {
    if (draft.mode === "custom" && form) take();
    keep();
    if (name === "model") return build();
    const said = contradictions({ ...draft.values, variants: draft.variants }, { model: app.model(draft.values.model), fields: fields(), tier: app.status.worker?.info ?? {} });
    warnings.replaceChildren(...said.map(([key, values]) => el("p", { class: "warn" }, t(key, values))));
    drawSteps();
  }

  function drawSteps() {
    if (!curveBox.open || !curve.isConnected) return;
    const { steps, shift, timesteps: given } = draft.values;
    const values = timesteps(steps ?? 8, shift ?? 3, given);
    drawCurve(curve, values);
    curve.setAttribute("aria-label", t("create.curve_label", { steps: values.length - 1, values: values.map((one) => one.toFixed(2)).join(", ") }));
  }

  function show() {
    simple.hidden = proposalPlace.hidden = draft.mode !== "simple";
    custom.hidden = draft.mode !== "custom";
    if (draft.mode === "custom") form?.fill(draft.values);
    else if (draft.proposed && fields().length) buildProposal();
    go.hidden = false;
    changed();
  }

  // `fresh`: the form says these and nothing else.
  function use(values, fresh = false) {
    take();
    draft.values = fresh ? { ...values } : { ...draft.values, ...values };
    draft.mode = "custom";
    mode.choose("custom");
    keep();
    show();
  }

  function setProposal(values) {
    draft.values = { ...draft.values, ...values };
    draft.proposed = true;
    keep();
    buildProposal();
    show();
    app.say(t("create.proposal_ready"));
    proposalPlace.querySelector("textarea")?.focus();
  }

  function useSentence() {
    if (!draft.sentence.trim()) return refuse({ code: "page.sentence" });
    told = [];
    setProposal({ caption: draft.sentence.trim() });
  }

  // The planner's answers

  async function ask(operation, params, about) {
    error.hidden = true;
    state.textContent = about;
    for (const one of [propose, go]) one.disabled = true;
    try {
      const { result } = await app.run(operation, params);
      told = result.notes ?? [];
      return (result.data?.samples ?? [result.data ?? {}])[0];
    } catch (failure) {
      refuse({ code: failure.code, message: failure.message }); // its field is the planner's, not this form's
      return null;
    } finally {
      state.textContent = "";
      for (const one of [propose, go]) one.disabled = false;
    }
  }

  const musical = (sample) => Object.fromEntries(PROPOSED.filter((name) => ![undefined, null, ""].includes(sample[name])).map((name) => [name, sample[name]]).filter(([name]) => fields().some((field) => field.name === name)));

  async function plan() {
    if (!draft.sentence.trim()) return refuse({ code: "page.sentence" });
    const sample = await ask("compose", { query: draft.sentence.trim() }, t("create.planning"));
    if (sample) setProposal(musical(sample));
  }

  async function example() {
    const sample = await ask("example", {}, t("create.searching"));
    if (!sample) return;
    if (draft.mode === "simple") setProposal(musical(sample));
    else use(musical(sample));
  }

  async function improve() {
    take();
    const given = Object.fromEntries(["caption", "lyrics", "language", "bpm", "key", "time_signature", "duration"].filter((name) => draft.values[name] !== undefined).map((name) => [name, draft.values[name]]));
    const sample = await ask("format", given, t("create.planning"));
    if (sample) use(musical(sample));
  }

  // Handing in

  function request() {
    take();
    const values = draft.mode === "simple" ? { ...draft.values } : form.values;
    return { ...values, ...(draft.variants === 1 ? {} : { variants: draft.variants }) };
  }

  async function run() {
    error.hidden = true;
    if (draft.mode === "simple" && !draft.proposed) return song();
    const shown = draft.mode === "simple" ? proposal : form;
    if (!shown || shown.toFault()) return;
    const params = request();
    if (!params.caption && !params.lyrics) return refuse({ code: "page.caption", field: "caption" });
    await hand(params);
  }

  // Planned and made in one job, for whoever does not want to see the plan first.
  async function song() {
    if (!draft.sentence.trim()) return refuse({ code: "page.sentence" });
    await hand({ query: draft.sentence.trim(), ...(draft.variants === 1 ? {} : { variants: draft.variants }) });
  }

  async function hand(params) {
    const operation = params.query === undefined ? "generate" : "song";
    try {
      if (draft.auto) await order.start(operation, params, device.value);
      else await app.submit(operation, params, { device: device.value });
      app.say(t("say.queued", { name: params.caption ?? params.query ?? "" }));
    } catch (failure) {
      refuse(failure);
    }
  }

  function refuse(failure) {
    const words = sentence(failure), shown = draft.mode === "simple" ? proposal : form;
    if (failure.field && shown?.refuse(failure.field, words)) return;
    error.textContent = words;
    error.hidden = false;
    error.scrollIntoView({ block: "nearest" });
  }

  function showRequest() {
    requestDialog({ operation: "generate", params: request() });
  }

  // A request or a recipe as JSON, a WAV of ours with its recipe, or any sound, which the language model describes.
  function importSettings() {
    const input = el("input", { type: "file", accept: ".json,application/json,audio/*,.wav,.flac,.aif,.aiff,.mp3,.ogg,.opus", on: { change: () => input.files[0] && importFile(input.files[0]) } });
    input.click();
  }

  async function importFile(file) {
    error.hidden = true;
    try {
      const recipe = /\.json$/i.test(file.name) ? JSON.parse(await file.text()) : await recipeOf(file);
      if (recipe) return (recipe.request?.stages?.length ?? 0) > 1 ? app.useRequest(recipe.request) : useRequest(recipe);
    } catch {
      return refuse({ code: "page.import" });
    }
    state.textContent = t("create.listening", { name: file.name });
    try {
      const upload = await sendFile(file).done;
      const sample = await ask("understand", { upload: upload.id }, t("create.listening", { name: file.name }));
      if (sample) use(musical(sample));
    } catch (failure) {
      refuse(failure);
    } finally {
      state.textContent = "";
    }
  }

  function useRequest(data) {
    const { values, variants } = settingsOf(data, fields(), OMIT);
    if (variants) { draft.variants = Math.min(MOST, variants); count.choose(String(draft.variants)); }
    use(values, true);
  }

  // What semantic codes sound like, in words.
  async function describeCodes() {
    const codes = form.value("audio_codes");
    if (!codes?.length) return form.refuse("audio_codes", t("fault.needed"));
    const sample = await ask("understand", { audio_codes: codes }, t("create.planning"));
    if (sample) use(musical(sample));
  }

  app.addEventListener("connected", () => { build(); show(); });
  app.addEventListener("models", build);
  show();
  return {
    element, run, use,
    show: () => requestAnimationFrame(drawSteps),
    useRequest,
    language,
  };
}
