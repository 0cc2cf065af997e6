#!/usr/bin/env node
// What throughput and latency does the service have under load, compared with the library alone and with Python services on the same weights, in one run?
//
// usage: npm run bench:service -- [--only PART,…] [--threads 1] [--seconds 8] [--rounds 3] [--soak 600] [--out build/bench/service] [--write]
//   --only      parts, of: http (2 min), grpc (1 min), fastapi, infinity, infinity-onnx (3 min each), soak (10 min); default: all;
//               '' measures nothing and prints earlier results
//   --seconds   of each measurement; --rounds: rounds of library and service; --soak: seconds of that part
//   --out       OUT.json gets the results (parts that are not run keep earlier results) and OUT.md a table of them
//   --write     puts the table into docs/deploy/sizing.md, with machine and date
//
// The first run installs what it needs into build/ (ghz; for Python's services also what the test set-up installs).

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { grpcLoad } from './grpc-load.mjs'
import { httpLoad, soak } from './http-load.mjs'
import { targetsOf, tableOf } from './targets.mjs'
import { measurePeer } from './peers.mjs'

const PARTS = {
  http: httpLoad,
  grpc: grpcLoad,
  fastapi: (options) => measurePeer('fastapi', options),
  infinity: (options) => measurePeer('infinity', options),
  'infinity-onnx': (options) => measurePeer('infinity-onnx', options),
  soak,
}
const { values } = parseArgs({
  options: {
    only: { type: 'string', default: Object.keys(PARTS).join() },
    threads: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '3' },
    soak: { type: 'string', default: '600' },
    out: { type: 'string', default: 'build/bench/service' },
    write: { type: 'boolean', default: false },
  },
})
const [threads, seconds, rounds, soakSeconds] = [values.threads, values.seconds, values.rounds, values.soak].map(Number)
const names = values.only === '' ? [] : values.only.split(',')
const unknown = names.find((name) => !(name in PARTS))
if (unknown !== undefined) {
  console.error(`there is no part '${unknown}': expected ${Object.keys(PARTS).join(', ')}`)
  process.exit(2)
}

const file = `${values.out}.json`
const parts = earlier()
for (const name of names) {
  const started = performance.now()
  const note = (text) => process.stderr.write(`${name}: ${text}\n`)
  note(`other work on this machine before: load ${loadavg()[0].toFixed(2)}`)
  const before = { date: new Date().toISOString(), load: loadavg()[0], threads, secondsEach: seconds }
  try {
    parts[name] = { ...(await PARTS[name]({ threads, seconds, rounds, soakSeconds, note })), ...before }
  } catch (error) {
    note(`left out: ${error.message}`)
    process.exitCode = 1
  }
  note(`${((performance.now() - started) / 1000).toFixed(0)} s`)
}

const machine = { cpu: cpus()[0]?.model, cores: availableParallelism(), node: process.version }
mkdirSync(dirname(file), { recursive: true })
writeFileSync(file, `${JSON.stringify({ machine, parts }, null, 2)}\n`)
const rows = targetsOf(Object.fromEntries(Object.keys(PARTS).flatMap((name) => (parts[name] === undefined ? [] : [[name, parts[name]]]))))
writeFileSync(`${values.out}.md`, `${tableOf(rows)}\n`)
console.log(tableOf(rows))
if (values.write) writePage()
const missed = rows.filter(({ met }) => met === false).length
console.log(`\n${rows.filter(({ met }) => met === true).length} targets met, ${missed} missed; ${values.out}.md, ${file}`)

/** Replaces the table between its markers in the page. */
function writePage() {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const page = join(root, 'docs', 'deploy', 'sizing.md')
  const [begin, end] = ['<!-- measured -->', '<!-- /measured -->']
  const text = readFileSync(page, 'utf8')
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${page} lacks the markers of the table: ${begin} … ${end}`)
  const dates = [...new Set(Object.values(parts).map(({ date }) => date.slice(0, 10)))].join(', ')
  const setting = `${machine.cpu}, ${machine.cores} processors, Node ${machine.node}; ${threads === 1 ? 'one encoder thread' : `${threads} encoder threads`}; ${dates}; load of other work before: ${Object.entries(
    parts,
  )
    .map(([name, { load }]) => `${name} ${load.toFixed(2)}`)
    .join(', ')}.`
  writeFileSync(page, `${text.slice(0, from)}${begin}\n\n${setting}\n\n${tableOf(rows)}\n\n${text.slice(to)}`)
  execFileSync(process.execPath, [join(root, 'node_modules', 'prettier', 'bin', 'prettier.cjs'), '--log-level', 'warn', '--write', page])
}

function earlier() {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).parts
  } catch {
    return {}
  }
}
