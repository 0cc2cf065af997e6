#!/usr/bin/env node
// Looks into the prebuilt binaries with readelf: what they need, export and carry. `npm pack` runs it, so that a package without them fails.
//
// usage: node scripts/check-prebuild.mjs [FOLDER]

import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, relative } from 'node:path'
import { hostTarget, libraryName } from './prepare-ort.mjs'
import { StepFailed, isMain, reportFailure, root, run } from './setup/run.mjs'
import { compareVersions } from './setup/toolchain.mjs'

const notices = ['LICENSE.onnxruntime.txt', 'NOTICES.onnxruntime.txt', 'NOTICES.tokenizer.txt']

const expectations = {
  'gabion.node': {
    // The C++ and Rust standard libraries are inside.
    needed: ['libc.so.6', 'libm.so.6', 'ld-linux-x86-64.so.2', 'ld-linux-aarch64.so.1'],
    runpath: '$ORIGIN',
    exports: ['napi_register_module_v1', 'node_api_module_get_api_version_v1'],
    // GCC 12's unwinder wants _dl_find_object, which came with 2.35.
    glibc: '2.35',
    largestBytes: 8 << 20,
    buildPaths: [root, homedir()],
  },
  [libraryName]: {
    needed: [
      'libc.so.6',
      'libm.so.6',
      'libdl.so.2',
      'librt.so.1',
      'libpthread.so.0',
      'libstdc++.so.6',
      'libgcc_s.so.1',
      'ld-linux-x86-64.so.2',
      'ld-linux-aarch64.so.1',
    ],
    soname: libraryName,
    glibc: '2.28',
    largestBytes: 32 << 20,
    buildPaths: [root],
  },
}

/** Checks a prebuilds/<target> folder. Returns a line of facts per binary; throws StepFailed with every finding. */
export async function checkPrebuild(folder) {
  const names = existsSync(folder) ? readdirSync(folder) : []
  const absent = [...Object.keys(expectations), ...notices].filter((name) => !names.includes(name))
  if (absent.length > 0) {
    throw new StepFailed(`${relative(root, folder)} lacks ${absent.join(', ')}; \`npm run prebuild\` makes them`, { exitCode: 2 })
  }
  const problems = []
  const facts = []
  for (const [name, expected] of Object.entries(expectations)) {
    const found = await inspect(join(folder, name))
    problems.push(...compare(expected, found).map((problem) => `${name}: ${problem}`))
    facts.push(`${name}: ${(found.bytes / 1e6).toFixed(1)} MB, glibc ${found.glibc}, needs ${found.needed.join(', ')}`)
  }
  if (problems.length > 0) throw new StepFailed(`${relative(root, folder)} is not fit to be passed on`, { lines: problems })
  return facts
}

async function inspect(file) {
  const dynamic = await run('readelf', ['--dynamic', '--wide', file])
  const symbols = await run('readelf', ['--dyn-syms', '--wide', file])
  const versions = [...(await run('readelf', ['--version-info', '--wide', file])).matchAll(/GLIBC_(\d[\d.]*)/g)].map((match) => match[1])
  const one = (tag) => new RegExp(`\\(${tag}\\)[^[]*\\[(.*)\\]`).exec(dynamic)?.[1]
  const defined = symbols.split('\n').flatMap((line) => {
    const [, , , , binding, , section, symbol] = line.trim().split(/\s+/)
    return ['GLOBAL', 'WEAK', 'UNIQUE'].includes(binding) && section !== 'UND' ? [symbol] : []
  })
  return {
    bytes: statSync(file).size,
    content: readFileSync(file),
    needed: [...dynamic.matchAll(/\(NEEDED\)[^[]*\[(.*)\]/g)].map((match) => match[1]),
    soname: one('SONAME'),
    runpath: one('RUNPATH') ?? one('RPATH'),
    glibc: versions.sort(compareVersions).at(-1),
    exports: defined.sort(),
  }
}

function compare(expected, found) {
  const problems = []
  const foreign = found.needed.filter((name) => !expected.needed.includes(name))
  if (foreign.length > 0) problems.push(`needs ${foreign.join(', ')}, expected only ${expected.needed.join(', ')}`)
  for (const key of ['soname', 'runpath']) {
    if (expected[key] !== undefined && found[key] !== expected[key])
      problems.push(`${key} is ${found[key] ?? 'missing'}, expected ${expected[key]}`)
  }
  if (expected.exports !== undefined && found.exports.join() !== expected.exports.join()) {
    problems.push(`exports ${found.exports.slice(0, 20).join(', ') || 'nothing'}, expected ${expected.exports.join(', ')}`)
  }
  if (compareVersions(found.glibc, expected.glibc) > 0) problems.push(`asks for glibc ${found.glibc}, expected ${expected.glibc} at most`)
  if (found.bytes > expected.largestBytes) problems.push(`has ${found.bytes} bytes, expected ${expected.largestBytes} at most`)
  for (const path of expected.buildPaths) {
    if (found.content.includes(`${path}/`)) problems.push('carries a path of the machine that built it')
  }
  return problems
}

if (isMain(import.meta.url)) {
  try {
    for (const line of await checkPrebuild(process.argv[2] ?? join(root, 'prebuilds', hostTarget))) console.log(line)
  } catch (error) {
    reportFailure(error)
  }
}
