// Reads a DAWproject with openDAW's own reader and prints what it found as JSON: node read.mjs MODULES FILE
import { readFileSync } from "node:fs"
import { createRequire, register } from "node:module"
import { pathToFileURL } from "node:url"

// openDAW's packages are made for bundlers: their imports have no ".js", which Node wants
const ENDINGS = `export async function resolve(name, context, next) {
  try { return await next(name, context) } catch (error) {
    try { return await next(name + ".js", context) } catch { return next(name + "/index.js", context).catch(() => { throw error }) }
  }
}`
register(`data:text/javascript,${encodeURIComponent(ENDINGS)}`)

const [modules, file] = process.argv.slice(2)
const load = (path) => import(pathToFileURL(`${modules}/${path}`).href)
const require = createRequire(`${modules}/`)
console.debug = () => {}  // the packages greet on standard output
globalThis.DOMParser = require("linkedom").DOMParser

const { Xml } = await load("@opendaw/lib-xml/dist/index.js")
const { MetaDataSchema, ProjectSchema } = await load("@opendaw/lib-dawproject/dist/index.js")
const archive = await require("jszip").loadAsync(readFileSync(file))
const text = (name) => archive.file(name).async("string")
const project = Xml.parse(await text("project.xml"), ProjectSchema)
const sounds = {}
for (const entry of archive.file(/^audio\//)) sounds[entry.name] = await entry.async("base64")

console.log(JSON.stringify({ metadata: Xml.parse(await text("metadata.xml"), MetaDataSchema), project, sounds }))
