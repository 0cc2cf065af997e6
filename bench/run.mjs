// Runs the benches one after another, each in its own process; prints the tables, saves the results, and writes the page.
//
// usage: npm run bench -- [--quick] [--only NAME]… [--json FILE] [--write] [--from FILE]

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { describeMachine } from './harness/machine.mjs'
import { resultsPage } from './harness/markdown.mjs'
import { hasSentenceTransformers } from './harness/sentence-transformers.mjs'
import { print, printMachine, printResult } from './harness/terminal.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const BENCHES = [
  'latency',
  'baselines',
  'peak',
  'contention',
  'boundary',
  'event-loop',
  'throughput',
  'detector',
  'guard',
  'models',
  'pca',
  'search',
  'size',
  'cold-start',
  'memory',
  'cuda',
]
/** Runs only when named, and has its own page: it installs gigabytes of other projects and takes half an hour. */
const NAMED_ONLY = ['baselines']
const FORMAT = 'gabion-bench-2'
const USAGE = `usage: npm run bench -- [options]
  --quick        a few calls of each, to see that everything runs; its numbers are meaningless
  --only NAME    only this bench (${BENCHES.join(', ')}); may be given again;
                 ${NAMED_ONLY.join(', ')}: only when named, as it installs much and takes half an hour
  --json FILE    write the results there too (they are always kept in bench/results/)
  --write        write docs/performance.md from the results of all, or docs/${NAMED_ONLY[0]}.md from those of ${NAMED_ONLY[0]} alone
  --from FILE    show (and with --write, write) earlier results instead of measuring`

/** A usage error: wrong options or a wrong file. */
class Refused extends Error {}

function readOptions() {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      json: { type: 'string' },
      write: { type: 'boolean', default: false },
      from: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  const unknown = values.only.find((name) => !BENCHES.includes(name))
  if (unknown !== undefined) throw new Refused(`there is no bench '${unknown}': expected ${BENCHES.join(', ')}`)
  if (values.quick && values.write) throw new Refused('--write does not go with --quick: its numbers are meaningless')
  if (values.write && values.only.length > 0 && values.from === undefined) refuseParts(values.only)
  return values
}

/** Whether these results have their own page. */
const standAlone = (names) => names.length === 1 && NAMED_ONLY.includes(names[0])

/** docs/performance.md shows one run of all benches. */
function refuseParts(names) {
  if (standAlone(names)) return
  const missing = BENCHES.filter(
    (name) => !names.includes(name) && !NAMED_ONLY.includes(name) && (name !== 'models' || hasSentenceTransformers()),
  )
  if (missing.length > 0) throw new Refused(`--write: the results lack ${missing.join(', ')}, and the page shows one run`)
}

/** Runs one bench and returns what it wrote. Its progress goes to this terminal's standard error. */
async function measure(name, quick) {
  const file = join(here, 'results', `.${name}-${process.pid}.json`)
  const args = [join(here, `${name}.mjs`), '--json', file, ...(quick ? ['--quick'] : [])]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  const [code, signal] = await once(child, 'exit')
  if (code !== 0) throw new Error(`the bench ${name} ended with ${code === null ? signal : `code ${code}`}`)
  const result = JSON.parse(readFileSync(file, 'utf8'))
  rmSync(file)
  return result
}

/** Measures one bench after the other. A failure does not stop the next, and each result is saved at once. */
async function measureAll({ only, quick }) {
  const machine = describeMachine()
  const benches = {}
  const failed = []
  const file = join('bench', 'results', `${machine.date.replaceAll(':', '-').slice(0, 19)}.json`)
  printMachine(machine)
  for (const name of only.length === 0
    ? BENCHES.filter((bench) => !NAMED_ONLY.includes(bench))
    : BENCHES.filter((bench) => only.includes(bench))) {
    if (name === 'models' && only.length === 0 && !hasSentenceTransformers()) {
      print('\nmodels: skipped, as it needs what `npm run setup -- --for test` makes')
      continue
    }
    process.stderr.write(`\n${name}\n`)
    try {
      benches[name] = await measure(name, quick)
    } catch (error) {
      failed.push(error.message)
      continue
    }
    printResult(benches[name])
    save(file, { format: FORMAT, machine, benches })
  }
  print(`\nresults: ${file}`)
  if (failed.length > 0) {
    console.error(`error: ${failed.join('; ')}`)
    process.exitCode = 1
  }
  return { format: FORMAT, machine, benches }
}

function readResults(file) {
  const results = JSON.parse(readFileSync(file, 'utf8'))
  if (results.format !== FORMAT) throw new Refused(`${file} holds no results of this bench: expected the format ${FORMAT}`)
  printMachine(results.machine)
  for (const result of Object.values(results.benches)) printResult(result)
  return results
}

function save(file, results) {
  mkdirSync(dirname(resolve(file)), { recursive: true })
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`)
}

function writePage(results) {
  if (Object.values(results.benches).some(({ quick }) => quick))
    throw new Refused('--write: these are results of --quick, which are meaningless')
  const names = Object.keys(results.benches)
  refuseParts(names)
  const [title, name, command] = standAlone(names)
    ? [results.benches[names[0]].title, names[0], `npm run bench -- --only ${names[0]} --write`]
    : ['Performance', 'performance', 'npm run bench -- --write']
  const page = join(here, '..', 'docs', `${name}.md`)
  mkdirSync(dirname(page), { recursive: true })
  writeFileSync(page, resultsPage(results, title, command))
  execFileSync(process.execPath, [
    join(here, '..', 'node_modules', 'prettier', 'bin', 'prettier.cjs'),
    '--write',
    '--log-level',
    'warn',
    page,
  ])
  print(`written: docs/${name}.md`)
}

async function main(options) {
  if (options.help) {
    print(USAGE)
    return
  }
  const results = options.from === undefined ? await measureAll(options) : readResults(options.from)
  if (options.json !== undefined) {
    save(options.json, results)
    print(`results: ${options.json}`)
  }
  if (options.write) writePage(results)
}

try {
  await main(readOptions())
} catch (error) {
  const refused = error instanceof Refused || error.code?.startsWith('ERR_PARSE_ARGS')
  console.error(refused ? `error: ${error.message}\n${USAGE}` : error)
  process.exitCode = refused ? 2 : 1
}
