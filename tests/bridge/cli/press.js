// Presses a button of an Open Stage Control session: node press.js SESSION BUTTON '{"widget": value}' -> what it sends, as JSON.
// Stands in for Open Stage Control's own get, set and send, as its manual describes them.
const [file, button, given] = process.argv.slice(2)
const widgets = {}
const walk = (widget) => { widgets[widget.id] = widget; for (const one of [...(widget.widgets || []), ...(widget.tabs || [])]) walk(one) }
walk(JSON.parse(require("fs").readFileSync(file, "utf8")).content)
const values = Object.fromEntries(Object.entries(widgets).map(([id, widget]) => [id, widget.default ?? ""]))
for (const [id, value] of Object.entries(JSON.parse(given))) {
    if (!(id in widgets)) throw new Error(`no widget ${id}`)
    let read = value
    if (widgets[id].type === "input") { try { read = JSON.parse(value) } catch {} }
    values[id] = read
}
const sent = []
const send = (address, ...args) => sent.push([address, args.map((one) => (typeof one === "object" ? one : { type: typeof one === "number" ? "f" : "s", value: one }))])
const set = (id, value) => { if (!(id in widgets)) throw new Error(`no widget ${id}`); values[id] = value }
const run = (widget, value) => new Function("get", "set", "send", "value", "id", widget.onValue)((id) => values[id], set, send, value, widget.id)
if (widgets[button].type === "variable") run(widgets[button], JSON.parse(process.argv[5]))
else if (widgets[button].onValue) run(widgets[button], widgets[button].on ?? 1)
if (!widgets[button].bypass) send(widgets[button].address, ...[].concat(widgets[button].preArgs ?? [], widgets[button].on ?? []).map((value) => ({ type: widgets[button].typeTags || "f", value })))
console.log(JSON.stringify({ sent, values }))
