// The license texts of the Rust crates that are compiled into the addon, as one file.

import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { StepFailed, root, run } from '../setup/run.mjs'

/** Licenses compatible with the addon's; one of a crate's alternatives is enough. */
const allowed =
  /^(MIT|Apache-2\.0( WITH LLVM-exception)?|BSD-[23]-Clause|ISC|Zlib|Unicode-3\.0|Unicode-DFS-2016|Unlicense|0BSD|CC0-1\.0|BlueOak-1\.0\.0)$/

const licenseFile = /^(licen[cs]e|copying|notice|unlicense)/i

/** Lists every crate of the addon with version, license and license files. Throws StepFailed where a license is missing or not allowed. */
export async function crateLicenses(cargo) {
  const all = await crates(cargo)
  const refused = all.filter(({ license }) => !isAllowed(license ?? ''))
  if (refused.length > 0) {
    const names = refused.map(({ name, license }) => `${name} (${license ?? 'none'})`)
    throw new StepFailed(`licenses of Rust crates to review: ${names.join(', ')}`)
  }
  const list = all.map(({ name, version, license, repository }) => `${name} ${version}: ${license}${repository ? `, ${repository}` : ''}`)
  const head = `The addon contains these Rust crates:\n\n${list.join('\n')}\n`
  return [head, ...textsOf(all)].join(`\n${'-'.repeat(80)}\n\n`)
}

/** Every crate that is compiled into the addon, as cargo describes it. */
export async function crates(cargo) {
  const metadata = JSON.parse(
    await run(cargo, ['metadata', '--format-version', '1', '--locked', '--manifest-path', join(root, 'native/tokenizer/Cargo.toml')]),
  )
  return compiledIn(metadata).sort((a, b) => a.name.localeCompare(b.name))
}

/** The crates that ordinary dependencies lead to: what only tests and build scripts use is not in the addon. */
function compiledIn({ packages, resolve }) {
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]))
  const reached = new Set()
  const queue = [resolve.root]
  for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
    if (reached.has(id)) continue
    reached.add(id)
    const ordinary = nodes.get(id).deps.filter(({ dep_kinds: kinds }) => kinds.some(({ kind }) => kind === null))
    queue.push(...ordinary.map(({ pkg }) => pkg))
  }
  return packages.filter(({ id }) => reached.has(id) && id !== resolve.root)
}

/** Whether a package under these licenses may be distributed with gabion. */
export function isAllowed(expression) {
  const choices = expression.replaceAll('/', ' OR ').replaceAll(/[()]/g, ' ').split(' OR ')
  return choices.some((choice) => choice.split(' AND ').every((name) => allowed.test(name.trim())))
}

/** Each text once, with the names of the crates that carry it. */
function textsOf(crates) {
  const carriers = new Map()
  for (const { name, manifest_path: manifest } of crates) {
    const folder = dirname(manifest)
    for (const file of readdirSync(folder, { withFileTypes: true })) {
      if (!file.isFile() || !licenseFile.test(file.name)) continue
      const text = readFileSync(join(folder, file.name), 'utf8').trim()
      carriers.set(text, [...(carriers.get(text) ?? []), name])
    }
  }
  return [...carriers].map(([text, names]) => `${[...new Set(names)].join(', ')}:\n\n${text}\n`)
}
