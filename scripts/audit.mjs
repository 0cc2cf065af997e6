#!/usr/bin/env node
// Audits third-party code: every locked package has a checksum and a license that permits redistribution; known vulnerabilities where the data is available.
//
// usage: npm run audit [-- --strict]
//
// `npm audit` needs a registry that answers it, cargo-deny (native/tokenizer/deny.toml) must be installed, and its advisories come from RustSec's
// database on GitHub. The last line reports what could not be checked; with --strict that exits with 1, as findings always do.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { crates, isAllowed } from './prebuild/crate-licenses.mjs'
import { reportFailure, root } from './setup/run.mjs'
import { findTools } from './setup/toolchain.mjs'

const checks = {
  'npm checksums': () => {
    const lacking = npmPackages().filter(({ integrity }) => !/^sha(512|384)-/.test(integrity ?? ''))
    return result(lacking, `${npmPackages().length} packages are locked by SHA-512`)
  },
  'npm licenses': () => {
    const shipped = npmPackages().filter(({ dev, devOptional, peer }) => !dev && !devOptional && !peer)
    const refused = shipped.filter(({ license }) => !isAllowed(license ?? ''))
    return result(refused, `${shipped.length} packages that are installed with gabion`)
  },
  'crate checksums': () => {
    const lock = readFileSync(join(root, 'native/tokenizer/Cargo.lock'), 'utf8')
    const packages = lock
      .split('[[package]]')
      .slice(1)
      .map((text) => ({ name: /name = "(.+)"/.exec(text)[1], text }))
    const others = packages.filter(({ name }) => name !== 'gabion_tokenizer')
    return result(
      others.filter(({ text }) => !/\nchecksum = "[0-9a-f]{64}"/.test(text)),
      `${others.length} crates are locked by SHA-256`,
    )
  },
  'crate licenses': async ({ cargo }) => {
    const all = await crates(cargo)
    return result(
      all.filter(({ license }) => !isAllowed(license ?? '')),
      `${all.length} crates that are compiled into the addon`,
    )
  },
  'npm advisories': () => {
    const { stdout } = spawnSync('npm', ['audit', '--json', '--omit', 'dev'], { cwd: root, encoding: 'utf8' })
    const report = parsed(stdout)
    if (report?.vulnerabilities === undefined)
      return { state: 'skip', detail: `the registry has no answer (${report?.message ?? 'nothing came'})` }
    const found = Object.values(report.vulnerabilities).map(({ name, severity }) => ({ name: `${name} (${severity})` }))
    return result(found, 'no known vulnerability')
  },
  'crate sources': ({ cargo }) => cargoDeny(cargo, ['bans', 'licenses', 'sources'], 'no banned crate, license or source by cargo-deny'),
  'crate advisories': ({ cargo }) => cargoDeny(cargo, ['advisories'], 'no known vulnerability'),
}

function cargoDeny(cargo, wanted, good) {
  if (spawnSync(cargo, ['deny', '--version']).status !== 0)
    return { state: 'skip', detail: 'cargo-deny is not installed: cargo install --locked cargo-deny' }
  const args = ['deny', '--manifest-path', 'native/tokenizer/Cargo.toml', 'check', ...wanted]
  const { status, stderr } = spawnSync(cargo, args, { cwd: root, encoding: 'utf8' })
  if (status === 0) return { state: 'ok', detail: good }
  if (/failed to fetch advisory database/.test(stderr))
    return { state: 'skip', detail: "RustSec's database is not available: can this machine reach github.com?" }
  return { state: 'FAILED', detail: stderr.trim() }
}

const parsed = (text) => {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** @returns every package of the lock file but this one */
function npmPackages() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  return Object.entries(packages).flatMap(([path, entry]) =>
    path === '' || entry.link ? [] : [{ name: path.replace(/^.*node_modules\//, ''), ...entry }],
  )
}

function result(wrong, detail) {
  return wrong.length === 0
    ? { state: 'ok', detail }
    : { state: 'FAILED', detail: wrong.map(({ name, license }) => `${name}${license ? ` (${license})` : ''}`).join(', ') }
}

try {
  const { found } = await findTools('start')
  const { values } = parseArgs({ options: { strict: { type: 'boolean', default: false } } })
  let failed = false
  const skipped = []
  for (const [name, check] of Object.entries(checks)) {
    const { state, detail } = await check({ cargo: found.cargo.path })
    failed ||= state === 'FAILED'
    if (state === 'skip') skipped.push(name)
    console.log(`${state.padEnd(6)} ${name.padEnd(17)} ${detail}`)
  }
  if (skipped.length > 0) console.log(`\nNOT CHECKED: ${skipped.join(', ')}`)
  process.exitCode = failed || (values.strict && skipped.length > 0) ? 1 : 0
} catch (error) {
  reportFailure(error)
}
