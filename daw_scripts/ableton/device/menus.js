// What the daemon describes: the device's form and menus, and the texts of its rows back to values (Node for Max).
"use strict";

const Max = require("max-api");

const forms = require("./forms.js");
const operations = require("./operations.js");
const settings = require("./settings.js");

const DEFAULT = "default"; // the model of jobs that name none

// The rows of an action's form, and those of the fields that were set in the menu (`own`, texts by name).
function rowsOf(action, fields, own) {
  const rows = forms.rows(fields, action.ask, {}, action.each);
  const more = Object.keys(own).filter((name) => !rows.some((row) => row.name === name));
  const strange = more.find((name) => !fields.some((field) => field.name === name));
  if (strange) throw { code: "bad_value", message: `${strange}: the chosen model does not support it.` };
  return more.length ? [...rows, ...forms.rows(fields, more, {}, "")] : rows;
}

// The typed values of the user's texts, by the daemon's own list of fields; those of the last run (`last`) for an action without a form,
// and where the user typed nothing at all.
function valuesOf(action, fields, form, own, last) {
  if (!action.ask.length && !action.whole_form) return last;
  const rows = rowsOf(action, fields, own), texts = { ...form, ...own };
  const values = forms.values(rows, rows.map((row) => String(texts[row.name] === undefined ? "" : texts[row.name])));
  if (values.refusal !== undefined) throw { code: "bad_value", message: values.refusal };
  return Object.keys(values).length ? values : last;
}

// What a row looks like in a menu.
function face(row) {
  return { name: row.name, label: row.label, offers: forms.offers(row), open: forms.OPEN, many: ["choices", "list"].includes(row.kind) };
}

// The rows that stand in the form: what any action asks for, described as for the first one that does. `known` are operations by name.
function rowsOfForm(known) {
  const found = new Map();
  for (const { operation, ask, each } of settings.actions.filter((action) => known.has(action.operation))) {
    for (const row of forms.rows(known.get(operation).fields, ask, {}, each)) {
      if (ask.includes(row.name) && !found.has(row.name)) found.set(row.name, { ...face(row), label: forms.nameOf(row) });
    }
  }
  return [...found.values()];
}

// The menus: `call(method, params)` asks the daemon.
class Menus {
  constructor(call) { this.call = call; }

  // An operation as a model has it. Where that cannot do it, or is not here: as any has it, and why (`refused`).
  async described(name, model = DEFAULT) {
    const ask = async (more) => (await this.call("describe", { operation: name, ...more })).operations[0];
    try {
      return await ask({ model });
    } catch (failure) {
      return { ...await ask({}), refused: failure };
    }
  }

  // The operations of the actions, presets and plug-in operations, and the rows of the form.
  async fill() {
    const { operations: found } = await this.call("describe", {});
    const known = new Map(found.map((operation) => [operation.name, operation]));
    const own = new Set(settings.actions.map((action) => action.operation).filter((name) => known.has(name)));
    const names = [...own, ...operations.others(found, settings.actions)];
    Max.outlet("rows", JSON.stringify(rowsOfForm(known)));
    Max.outlet("operations", JSON.stringify(names.map((name) => ({ name, title: operations.titleOf(known.get(name), settings.actions) }))));
  }

  // What an operation takes of a model besides the rows of the form, by group.
  async fields(name, model) {
    const found = await this.described(name, model);
    const asking = settings.actions.filter((action) => action.operation === name);
    const shown = (asking.length ? asking : settings.actions).flatMap((action) => action.ask);
    const groups = forms.groups(found.fields, shown).map((group) => ({ ...group, rows: group.rows.map(face) }));
    Max.outlet("fields", JSON.stringify({ operation: name, source: found.fields.some((field) => field.name === "source"), groups }));
  }

  // What a field takes.
  async hint(name, field, model) {
    const { fields } = await this.described(name, model);
    return forms.hint(forms.rows(fields, [field], {}, "")[0]);
  }
}

module.exports = { Menus, valuesOf };
