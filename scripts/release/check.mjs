#!/usr/bin/env node
// Checks the packed main package as tools and TypeScript resolve it: publint, and "are the types wrong?" for every way to import it; and the
// size of what one platform installs of gabion's own.
//
// usage: node scripts/release/check.mjs

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { StepFailed, isMain, reportFailure, root, run } from '../setup/run.mjs'
import { pack } from './pack.mjs'

/** Install scripts run on the user's machine: gabion has none. */
const installScripts = ['preinstall', 'install', 'postinstall', 'prepare']

/** Of the main package and one platform's, unpacked; `npm run bench -- --only size` compares it with other libraries. */
const largestInstalledBytes = 110e6

/**
 * Throws StepFailed with every finding.
 *
 * @param tarball of the main package
 * @param platforms tarballs of the platforms' packages
 */
export async function checkPackages(tarball, platforms) {
  const manifest = JSON.parse(await run('tar', ['-xzOf', tarball, 'package/package.json']))
  const content = new Uint8Array(readFileSync(tarball))
  const { messages } = await publint({ pack: { tarball: content.buffer }, strict: true })
  const findings = messages.map((message) => `publint: ${formatMessage(message, manifest) ?? message.code}`)
  for (const name of installScripts) if (manifest.scripts?.[name] !== undefined) findings.push(`package.json has a script ${name}`)
  if (manifest.gypfile !== false) findings.push('package.json: gypfile is not false, so npm would compile')
  findings.push(...(await undeclaredImports(tarball, manifest)))
  // The package has ES modules only: CommonJS reaches them by require() of a module, which Node has from 20.19 on.
  const require = createRequire(join(root, 'package.json'))
  const attw = join(dirname(require.resolve('@arethetypeswrong/cli/package.json')), 'dist', 'index.js')
  await run(process.execPath, [attw, tarball, '--profile', 'esm-only', '--no-emoji', '--no-color', '--format', 'table-flipped']).catch(
    (error) => {
      if (!(error instanceof StepFailed)) throw error
      findings.push(`are the types wrong?\n${error.output}`)
    },
  )
  findings.push(...(await undeclaredTypes(tarball, manifest)))
  findings.push(...(await sizeProblems(tarball, platforms)))
  if (findings.length > 0) throw new StepFailed(`${basename(tarball)} has problems`, { lines: findings })
}

/** Packages that the packed code loads and the manifest does not name: bundled packages must not be imported, imported packages must be dependencies. */
async function undeclaredImports(tarball, manifest) {
  const named = [manifest.dependencies, manifest.peerDependencies].flatMap((part) => Object.keys(part ?? {}))
  const code = await run('tar', ['-xzOf', tarball, '--wildcards', 'package/dist/*.js'])
  const imports = [...code.matchAll(/^(?:import|export)\b[^'"\n]*?\bfrom ?"([^"]+)"|\b(?:import|lazily)\("([^"]+)"\)/gm)].map(
    (found) => found[1] ?? found[2],
  )
  const packages = imports
    .filter((name) => !/^(\.|node:)/.test(name))
    .map((name) => name.split('/', name.startsWith('@') ? 2 : 1).join('/'))
  return [...new Set(packages)]
    .filter((name) => !named.includes(name) && !isBuiltin(name))
    .map((name) => `dist loads ${name}, which package.json does not name`)
}

/** The same for what the declarations of the package's entries import, which only a compiler with all libraries checked would notice. */
async function undeclaredTypes(tarball, manifest) {
  const place = mkdtempSync(join(tmpdir(), 'gabion-types-'))
  try {
    await run('tar', ['-xzf', tarball, '-C', place, '--wildcards', 'package/dist/*.d.ts'])
    const files = new Set(
      Object.values(manifest.exports).flatMap(({ types }) => (types === undefined ? [] : [join(place, 'package', types)])),
    )
    const named = [manifest.dependencies, manifest.peerDependencies].flatMap((part) => Object.keys(part ?? {}))
    const problems = new Set()
    for (const file of files) {
      for (const [, name] of readFileSync(file, 'utf8').matchAll(/(?:\bfrom |\bimport\(|^import )['"]([^'"]+)['"]/gm)) {
        const owner = name.split('/', name.startsWith('@') ? 2 : 1).join('/')
        if (name.startsWith('.')) files.add(join(dirname(file), name.replace(/\.js$/, '.d.ts')))
        else if (!named.includes(owner) && !isBuiltin(name))
          problems.add(`${basename(file)} imports ${name}, which package.json does not name`)
      }
    }
    return [...problems]
  } finally {
    rmSync(place, { recursive: true })
  }
}

async function sizeProblems(main, platforms) {
  const own = await unpackedBytes(main)
  const problems = []
  for (const platform of platforms) {
    const bytes = own + (await unpackedBytes(platform))
    if (bytes > largestInstalledBytes)
      problems.push(`with ${basename(platform)} it has ${bytes} bytes unpacked, expected ${largestInstalledBytes} at most`)
  }
  return problems
}

async function unpackedBytes(tarball) {
  const lines = (await run('tar', ['-tvzf', tarball])).trim().split('\n')
  // Permissions, owner, size, …
  return lines.reduce((sum, line) => sum + Number(line.split(/ +/, 3)[2]), 0)
}

if (isMain(import.meta.url)) {
  try {
    const { main, platforms } = await pack()
    await checkPackages(main, Object.values(platforms))
    console.log(`${basename(main)}: publint and attw find nothing, there are no install scripts, its size is within bounds`)
  } catch (error) {
    reportFailure(error)
  }
}
