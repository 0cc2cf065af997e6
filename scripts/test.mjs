#!/usr/bin/env node
// Runs every test after the set-up: types, engine (GoogleTest), tokenizer crate (cargo), and the Node tests group by group.
// Every runner writes JUnit XML to build/test-results; the summary at the end is counted from those files.
//
// usage: node scripts/test.mjs [FILTER…]     a filter is a runner's name (types, engine, crate) or a part of a test file's path

import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { nativeFolders } from './build-native.mjs'
import { setUp } from './setup.mjs'
import { reportFailure, root } from './setup/run.mjs'
import { buildEnvironment, findTools } from './setup/toolchain.mjs'

const results = join(root, 'build', 'test-results')

/**
 * The Node tests by folder, and the optional tool without which a folder is left out; a file that takes longer than its `minutes` hangs,
 * is killed and counts as failed. Lifecycle tests count threads and time out children, so nothing runs next to them.
 */
const groups = [
  { name: 'unit', concurrency: 2 },
  { name: 'native-backed', concurrency: 2 },
  { name: 'parity', concurrency: 1 },
  { name: 'browser', concurrency: 1, minutes: 5, tool: 'chromium' },
  { name: 'service', concurrency: 2, minutes: 5 },
  { name: 'fuzz', concurrency: 1 },
  { name: 'lifecycle', concurrency: 1 },
  { name: 'package', concurrency: 1 },
]

async function main(filters) {
  await setUp({ purpose: 'test' })
  const { found } = await findTools('test')
  const env = buildEnvironment(found)
  rmSync(results, { recursive: true, force: true })
  mkdirSync(results, { recursive: true })

  const runners = [...nativeRunners(found), ...nodeRunners(filters, found)]
  const named = (name) => filters.length === 0 || filters.includes(name)
  const wanted = runners.filter((runner) => runner.files !== undefined || named(runner.name))
  const rows = []
  for (const runner of wanted) {
    console.log(`\n── ${runner.name} ──`)
    if (runner.name === 'package') await setUp({ purpose: 'package' })
    const started = performance.now()
    const code = await execute(runner, { ...env, ...runner.env })
    const counts = countCases(runner.junit)
    // A runner that failed without naming a test (a crash, a broken build) is a failure all the same.
    if (code !== 0 && counts.failed === 0) counts.failed = 1
    if (code !== 0 && runner.printsJunit) console.log(readFileSync(runner.junit, 'utf8'))
    rows.push({ name: runner.name, seconds: (performance.now() - started) / 1000, ...counts })
  }
  summarize(rows)
}

function summarize(rows) {
  const total = (key) => rows.reduce((sum, row) => sum + row[key], 0)
  console.log('')
  for (const row of rows) {
    const state = row.failed === 0 ? 'ok    ' : 'FAILED'
    console.log(`${state} ${row.name.padEnd(14)} ${String(row.passed).padStart(5)} passed  ${row.seconds.toFixed(1).padStart(6)} s`)
  }
  if (total('passed') + total('failed') === 0) console.log('\nNo test ran: does the filter name a test file or a runner?')
  console.log(`\n${total('passed')} passed, ${total('failed')} failed${total('skipped') === 0 ? '' : `, ${total('skipped')} skipped`}`)
  process.exitCode = total('failed') === 0 && total('passed') > 0 ? 0 : 1
}

function nativeRunners(found) {
  const typescript = (name, project) => ({
    name,
    command: process.execPath,
    args: ['node_modules/typescript/bin/tsc', '--noEmit', '-p', project],
  })
  return [
    typescript('types', 'tsconfig.json'),
    typescript('types of pages', 'lib/server/dashboard'),
    ctestRunner('engine', nativeFolders.release, found),
    cargoRunner('crate', found),
  ]
}

function ctestRunner(name, folder, found) {
  const junit = join(results, `${name}.xml`)
  const args = ['--test-dir', folder, '--output-on-failure', '--no-tests=error', '--parallel', '2', '--output-junit', junit]
  return { name, command: found.cmake.path.replace(/cmake$/, 'ctest'), args, junit }
}

function cargoRunner(name, found) {
  const junit = join(results, `${name}.xml`)
  // libtest writes JUnit only with unstable options, which RUSTC_BOOTSTRAP allows. The test programs get it from their runner:
  // set for cargo, it would compile the crate anew.
  const runner = `target.'cfg(all())'.runner = "env RUSTC_BOOTSTRAP=1"`
  const crate = ['--locked', '--lib', '--tests', '--manifest-path', 'native/tokenizer/Cargo.toml', '--target-dir', 'build/cargo-test']
  const args = ['test', '--config', runner, ...crate, '--', '-Z', 'unstable-options', '--format', 'junit']
  return { name, command: found.cargo.path, args, junit, printsJunit: true }
}

function nodeRunners(filters, found) {
  return groups.flatMap(({ name, concurrency, minutes = 10, tool }) => {
    const files = testFiles(join(root, 'test', name)).filter(
      (file) => filters.length === 0 || filters.some((filter) => file.includes(filter)),
    )
    if (files.length === 0) return []
    if (tool !== undefined && found[tool] === undefined) {
      console.log(`\n${name}: left out, since there is no ${tool} here`)
      return []
    }
    const junit = join(results, `${name}.xml`)
    const reporters = Object.entries({ spec: 'stdout', junit }).flatMap(([reporter, destination]) => [
      `--test-reporter=${reporter}`,
      `--test-reporter-destination=${destination}`,
    ])
    const options = ['--import', 'tsx', '--test', `--test-concurrency=${concurrency}`, `--test-timeout=${minutes * 60_000}`, ...reporters]
    return [{ name, files, command: process.execPath, args: [...options, ...files], env: browserEnvironment(found), junit }]
  })
}

/** Tests of pages read from here which browser to start. */
function browserEnvironment({ chromium }) {
  return chromium === undefined ? {} : { CHROMIUM: chromium.path }
}

function testFiles(folder) {
  let entries = []
  try {
    entries = readdirSync(folder, { recursive: true })
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
  return entries
    .filter((name) => name.endsWith('.test.ts'))
    .sort()
    .map((name) => relative(root, join(folder, name)))
}

/** Counts the test cases of a JUnit file; a runner without one, such as the type checker, has none. */
function countCases(junit) {
  const xml = junit === undefined || !existsSync(junit) ? '' : readFileSync(junit, 'utf8')
  const count = (pattern) => xml.match(pattern)?.length ?? 0
  const failed = count(/<testcase\b[^>]*(?<!\/)>\s*<(?:failure|error)\b/g)
  const skipped = count(/<testcase\b[^>]*(?<!\/)>\s*<skipped\b/g)
  return { passed: count(/<testcase\b/g) - failed - skipped, failed, skipped }
}

/** Runs a runner's command in the foreground; returns its exit code. A runner with `printsJunit` writes its JUnit to stdout. */
function execute({ command, args, junit, printsJunit = false }, env) {
  return new Promise((resolve) => {
    const output = printsJunit ? openSync(junit, 'w') : 'inherit'
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', output, 'inherit'] })
    if (printsJunit) closeSync(output)
    child.once('error', (error) => {
      console.error(`${command} could not be started: ${error.message}`)
      resolve(1)
    })
    child.once('close', (code) => resolve(code ?? 1))
  })
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  reportFailure(error)
}
