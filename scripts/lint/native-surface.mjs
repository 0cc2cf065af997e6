// Compares the native functions that lib/native.ts declares with the table in native/binding/addon.cpp: names, and numbers of arguments.
// The addon's side is the highest `info[N]` that a function reads.

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'

/** Names and numbers of arguments that the interface NativeAddon declares. */
export function declaredFunctions(source) {
  const file = ts.createSourceFile('native.ts', source, ts.ScriptTarget.Latest, true)
  const addon = file.statements.find((statement) => ts.isInterfaceDeclaration(statement) && statement.name.text === 'NativeAddon')
  if (addon === undefined) throw new Error('lib/native.ts declares no interface NativeAddon')
  return new Map(addon.members.filter(ts.isMethodSignature).map((member) => [member.name.getText(file), member.parameters.length]))
}

/** Names in the addon's table, and the numbers of arguments that their functions read. */
export function addonFunctions(table, sources) {
  const functions = new Map()
  for (const [, name, implementation] of table.matchAll(/^ {2}add\("(\w+)", (\w+)\);$/gm)) {
    const bodies = sources.flatMap((source) => bodyOf(source, implementation) ?? [])
    if (bodies.length !== 1) throw new Error(`${implementation} has ${bodies.length} definitions in native/binding`)
    const indexes = [...bodies[0].matchAll(/\binfo\[(\d+)\]/g)].map(([, index]) => Number(index))
    functions.set(name, Math.max(-1, ...indexes) + 1)
  }
  if (functions.size === 0) throw new Error('native/binding/addon.cpp has no table of functions')
  return functions
}

/** A function's lines up to its closing brace, which stands at the start of a line. */
function bodyOf(source, name) {
  const start = source.search(new RegExp(`^[\\w:]+ ${name}\\(const Napi::CallbackInfo& info\\) \\{`, 'm'))
  return start === -1 ? undefined : source.slice(start, source.indexOf('\n}', start))
}

/** What differs, as sentences. */
export function differences(declared, added) {
  const arity = (functions, name) => (functions.has(name) ? `takes ${functions.get(name)} arguments` : 'is missing')
  return [...new Set([...declared.keys(), ...added.keys()])]
    .filter((name) => declared.get(name) !== added.get(name))
    .map((name) => `${name}: ${arity(declared, name)} in lib/native.ts, ${arity(added, name)} in native/binding`)
}

/** Compares the checkout's files. */
export function checkNativeSurface(root) {
  const folder = join(root, 'native', 'binding')
  const read = (name) => readFileSync(join(folder, name), 'utf8')
  const sources = readdirSync(folder)
    .filter((name) => name.endsWith('.cpp'))
    .map(read)
  return differences(declaredFunctions(readFileSync(join(root, 'lib', 'native.ts'), 'utf8')), addonFunctions(read('addon.cpp'), sources))
}
