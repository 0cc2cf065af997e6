#!/usr/bin/env node
// Runs every test after the set-up: types, engine (GoogleTest), tokenizer crate (cargo), and the Node tests group by group.
// Ends with one line that sums up all runners.
//
// usage: node scripts/test.mjs [FILTER…]     a filter is a runner's name (types, engine, crate) or a part of a test file's path

import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { testBuilds } from './build-native.mjs'
import { setUp } from './setup.mjs'
import { reportFailure, root } from './setup/run.mjs'
import { buildEnvironment, findTools } from './setup/toolchain.mjs'

const results = join(root, 'build', 'test-results')

/**
 * The Node tests by folder, and the optional tool without which a folder is left out; a file that takes longer than its `minutes` hangs,
 * is killed and counts as failed. Lifecycle tests count threads and time out children, so nothing runs beside them.
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
    const { code, output } = await execute(runner, { ...env, ...runner.env })
    const counts = runner.count(output, code)
    // A runner that failed without naming a test (a crash, a broken build) is a failure all the same.
    if (code !== 0 && counts.failed === 0) counts.failed = 1
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
  return [
    {
      name: 'types',
      command: process.execPath,
      args: ['node_modules/typescript/bin/tsc', '--noEmit', '-p', 'tsconfig.json'],
      count: () => ({ passed: 0, failed: 0, skipped: 0 }),
    },
    {
      name: 'types of pages',
      command: process.execPath,
      args: ['node_modules/typescript/bin/tsc', '--noEmit', '-p', 'lib/server/dashboard'],
      count: () => ({ passed: 0, failed: 0, skipped: 0 }),
    },
    ctestRunner('engine', testBuilds.tests.folder, found),
    {
      name: 'crate',
      command: found.cargo.path,
      args: ['test', '--locked', '--manifest-path', 'native/tokenizer/Cargo.toml', '--target-dir', 'build/cargo-test'],
      capture: true,
      count: countCargo,
    },
  ]
}

function ctestRunner(name, folder, found) {
  const junit = join(results, `${folder.split('/').at(-1)}.xml`)
  const args = ['--test-dir', folder, '--output-on-failure', '--no-tests=error', '--parallel', '2', '--output-junit', junit]
  return { name, command: found.cmake.path.replace(/cmake$/, 'ctest'), args, count: () => countJunit(junit) }
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
    const tap = join(results, `${name}.tap`)
    const reporters = ['spec', 'tap'].flatMap((reporter, i) => [
      `--test-reporter=${reporter}`,
      `--test-reporter-destination=${['stdout', tap][i]}`,
    ])
    const options = ['--import', 'tsx', '--test', `--test-concurrency=${concurrency}`, `--test-timeout=${minutes * 60_000}`, ...reporters]
    return [
      { name, files, command: process.execPath, args: [...options, ...files], env: browserEnvironment(found), count: () => countTap(tap) },
    ]
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

function countTap(file) {
  const number = (word) => Number(new RegExp(`^# ${word} (\\d+)$`, 'm').exec(readIfThere(file))?.[1] ?? 0)
  return { passed: number('pass'), failed: number('fail') + number('cancelled'), skipped: number('skipped') + number('todo') }
}

function countJunit(file) {
  const head = /<testsuite\b[^>]*>/.exec(readIfThere(file))?.[0] ?? ''
  const number = (word) => Number(new RegExp(`\\b${word}="(\\d+)"`).exec(head)?.[1] ?? 0)
  const skipped = number('skipped') + number('disabled')
  return { passed: number('tests') - number('failures') - skipped, failed: number('failures'), skipped }
}

function countCargo(output) {
  const sum = (word) =>
    [...output.matchAll(new RegExp(`^test result: .*?(\\d+) ${word};`, 'gm'))].reduce((all, match) => all + Number(match[1]), 0)
  return { passed: sum('passed'), failed: sum('failed'), skipped: sum('ignored') }
}

function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

/** Runs a runner's command in the foreground; where its counts are read from standard output, that is shown and returned. */
function execute({ command, args, capture = false }, env) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', capture ? 'pipe' : 'inherit', 'inherit'] })
    let output = ''
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      output += text
      process.stdout.write(text)
    })
    child.once('error', (error) => {
      console.error(`${command} could not be started: ${error.message}`)
      resolve({ code: 1, output })
    })
    child.once('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  reportFailure(error)
}
