// An operation of few fields in a dialog, and a question before something is thrown away.

import { sentence } from "../app.js";
import { button, el, openDialog } from "../dom.js";
import { Form } from "../form.js";
import { t } from "../words.js";

// Runs the operation and tells how it ended. What is `given` is filled in; `omit` is given and not shown. Other `fields` than the
// operation's become its parameters by `params(values)`.
export function operationDialog(app, operation, given, { short = null, omit = [], fields = null, params = null, done = () => {} } = {}) {
  const { fields: own, summary } = app.operations.get(operation);
  const chosen = fields ?? own;
  const form = new Form(chosen, { values: given, short: short ?? chosen.filter((field) => !field.group).map((field) => field.name), omit });
  const fixed = Object.fromEntries(omit.filter((name) => given[name] !== undefined).map((name) => [name, given[name]]));
  const wrong = el("p", { class: "error", role: "alert", hidden: true });
  const go = button(t("training.run"), async () => {
    wrong.hidden = true;
    if (form.toFault()) return;
    go.disabled = true;
    try {
      const job = await app.run(operation, params ? params(form.values) : { ...fixed, ...form.values });
      box.close();
      for (const note of (job.result.notes ?? []).slice(0, 3)) app.tell(note);
      app.tell(t("training.did", { operation: t(`training.${operation}`) }));
      app.dispatchEvent(new Event("history"));
      done(job);
    } catch (error) {
      const words = sentence(error);
      if (!error.field || !form.refuse(error.field, words)) {
        wrong.textContent = words;
        wrong.hidden = false;
      }
    } finally {
      go.disabled = false;
    }
  }, { class: "go", data: { act: "run" } });
  const box = openDialog(t(`training.${operation}`), t("close"), el("p", { class: "lead" }, summary), form.element, wrong, el("div", { class: "row end" }, go));
  return box;
}

// Asks before `act`; the answer that keeps things comes first.
export function question(title, words, yes, act) {
  const dialog = openDialog(title, t("close"), el("p", {}, words), el("div", { class: "row end" }, button(t("keep"), () => dialog.close()), button(yes, () => { dialog.close(); act(); }, { class: "go", data: { act: "yes" } })));
  dialog.querySelector(".end button").focus();
}
