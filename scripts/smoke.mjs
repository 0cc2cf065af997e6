#!/usr/bin/env node
// Installs the packages to be published into empty folders in every way that users do, and embeds a text there. One line per way; a package that
// is broken on purpose must be detected.
//
// usage: npm run smoke -- [--quick] [--only TEXT]… [--packages FOLDER]

import { chmodSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { hostTarget } from './prepare-ort.mjs'
import { pack } from './release/pack.mjs'
import { StepFailed, isMain, reportFailure, run } from './setup/run.mjs'
import { startRegistry } from './smoke/registry.mjs'
import { waysOf } from './smoke/ways.mjs'

const usage = `usage: npm run smoke -- [--quick] [--only TEXT]… [--packages FOLDER]
  --quick            this Node and the newest one only, without @huggingface/transformers
  --only TEXT        only the ways whose name has this text; may be given again
  --packages FOLDER  test these tarballs instead of packing the checkout`

async function main({ quick, only, packages }) {
  const place = realpathSync(mkdtempSync(join(tmpdir(), 'gabion-smoke-')))
  chmodSync(place, 0o755)
  const tarballs = packages === undefined ? await packedHere(quick) : await given(packages)
  const registry = await startRegistry(tarballs.published)
  try {
    const { main: own, offline, published } = tarballs
    const platforms = published.filter((file) => file !== own)
    const ways = waysOf({ place, registry: registry.url, main: own, offline, platforms, quick, apps: new Map() })
    const wanted = Object.entries(ways).filter(([name]) => only.length === 0 || only.some((text) => name.includes(text)))
    if (wanted.length === 0) throw new StepFailed(`no way has ${only.join(' or ')} in its name\n${usage}`, { exitCode: 2 })
    const counts = { ok: 0, skip: 0, FAILED: 0 }
    for (const [name, way] of wanted) counts[await tryWay(name, way)]++
    const left = counts.skip === 0 ? '' : `, ${counts.skip} skipped`
    console.log(`\n${counts.ok} of ${wanted.length} ways work${left}`)
    if (counts.FAILED > 0) process.exitCode = 1
  } finally {
    registry.close()
    await run('chmod', ['-R', 'u+w', place])
    rmSync(place, { recursive: true, force: true })
  }
}

/** Prints the line of one way and returns its state; a way may return why it was skipped. */
async function tryWay(name, way) {
  const started = performance.now()
  const outcome = await way().then(
    (skipped) => ({ skipped: typeof skipped === 'string' ? skipped : null }),
    (error) => ({ error }),
  )
  const state = outcome.error !== undefined ? 'FAILED' : outcome.skipped === null ? 'ok' : 'skip'
  const seconds = `${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s`
  console.log(`${state.padEnd(6)} ${name.padEnd(54)} ${seconds}  ${outcome.skipped ?? ''}`.trimEnd())
  if (outcome.error !== undefined) {
    const { output, stderr, message } = outcome.error
    // The stack adds nothing to the message.
    const lines = String(output ?? (stderr || message)).split('\n')
    for (const line of lines.filter((text) => text.trim() !== '' && !/^\s+at /.test(text)).slice(-12)) console.log(`       | ${line}`)
  }
  return state
}

async function packedHere(quick) {
  // test/package has the tarball with everything in it.
  const { main: own, platforms, offline } = await pack({ targets: [hostTarget], withOffline: !quick })
  return { main: own, published: [own, ...Object.values(platforms)], offline: offline[hostTarget] }
}

/** Tarballs of a folder, distinguished by the ends of their names. */
async function given(folder) {
  const files = readdirSync(folder).flatMap((name) => (name.endsWith('.tgz') ? [join(folder, name)] : []))
  const isOffline = (file) => /gabion-\d[^/]*-(linux|win32|darwin)-[\w-]+\.tgz$/.test(file)
  return {
    main: files.find((file) => /gabion-\d[^/]*$/.test(file) && !isOffline(file)),
    published: files.filter((file) => !isOffline(file)),
    offline: files.find((file) => isOffline(file) && file.endsWith(`-${hostTarget}.tgz`)),
  }
}

function readOptions(args) {
  const flags = {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    packages: { type: 'string' },
    help: { type: 'boolean', default: false },
  }
  try {
    return parseArgs({ args, options: flags }).values
  } catch (error) {
    throw new StepFailed(`${error.message}\n${usage}`, { exitCode: 2 })
  }
}

if (isMain(import.meta.url)) {
  try {
    const options = readOptions(process.argv.slice(2))
    if (options.help) console.log(usage)
    else await main(options)
  } catch (error) {
    reportFailure(error)
  }
}
