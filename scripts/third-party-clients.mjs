#!/usr/bin/env node
// Runs clients of other projects, in the versions that scripts/third-party-clients names, against gabion: chats, whole and streamed, through
// the proxy, which has to judge each of them, and an embedding and a ranking by the service. Needs the registries of npm and PyPI, and
// the reranker that `npm run setup -- --for test` makes.
//
// usage: node scripts/third-party-clients.mjs [CLIENT…]

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual, promisify } from 'node:util'
import { isMain, reportFailure, root, run, StepFailed } from './setup/run.mjs'
import { hashInputs, isCurrent, writeStamp } from './setup/stamps.mjs'
import { REPLY, startUpstream } from './third-party-clients/upstream.mjs'

const SOURCE = join('scripts', 'third-party-clients')
const TARGET = join('build', 'third-party-clients')
const NODE = ['openai', 'langchain', 'ai-sdk', 'llamaindex', 'anthropic', 'ollama']
const PYTHON = ['openai', 'langchain', 'llamaindex', 'litellm', 'huggingface_hub', 'anthropic', 'ollama']
const RERANKER = join('build', 'classifiers', 'roberta')
const RANKING = { query: 'when did the harbor wake', texts: ['gulls argued over bread', 'every boat left', 'the harbor woke before dawn'] }
const CLIENT_MS = 300_000
const JUDGED_MS = 60_000

const execute = promisify(execFile)

/** Installs the packages of one language in a folder of its own, unless they are there. */
async function install(folder, inputs, command) {
  const hash = hashInputs({ files: inputs.map((file) => join(SOURCE, file)) })
  const stamp = `third-party-${folder}`
  if (isCurrent(stamp, hash, [join(TARGET, folder)])) return
  const fresh = join(root, TARGET, `${folder}.new`)
  rmSync(fresh, { recursive: true, force: true })
  mkdirSync(fresh, { recursive: true })
  for (const file of inputs) copyFileSync(join(root, SOURCE, file), join(fresh, file))
  await command(fresh)
  rmSync(join(root, TARGET, folder), { recursive: true, force: true })
  renameSync(fresh, join(root, TARGET, folder))
  writeStamp(stamp, { hash })
}

async function installAll() {
  await install('node', ['package.json', 'package-lock.json'], (cwd) =>
    run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', cwd], { log: 'third-party-npm' }),
  )
  await install('python', ['requirements.txt'], (folder) => {
    const options = ['--quiet', '--only-binary', ':all:', '--no-warn-script-location', '--no-compile', '--target', folder]
    return run('python3', ['-m', 'pip', 'install', ...options, '--requirement', join(SOURCE, 'requirements.txt')], {
      log: 'third-party-pip',
    })
  })
}

/** Starts the command line as it is shipped, on a free port. */
async function startGabion(args) {
  const child = spawn(process.execPath, ['dist/cli/main.js', ...args, '--port', '0', '--json', '--log-level', 'warn'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
  if (!Buffer.isBuffer(line)) throw new StepFailed(`gabion ${args.join(' ')} ended with ${line}`)
  return { child, url: JSON.parse(line.toString()).url }
}

/** Exchanges that the proxy has judged. */
async function judged(proxy) {
  return (await (await fetch(`${proxy}/gabion/v1/stats`)).json()).exchanges
}

async function judgedSince(proxy, before, wanted) {
  const last = performance.now() + JUDGED_MS
  for (;;) {
    const count = (await judged(proxy)) - before
    if (count >= wanted || performance.now() > last) return count
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** The ranking without a client between. */
async function ranked(service) {
  const headers = { 'content-type': 'application/json' }
  return (await fetch(`${service}/rerank`, { method: 'POST', headers, body: JSON.stringify(RANKING) })).json()
}

/** Runs one client; its row of the table. */
async function runClient(language, name, service, proxy) {
  const before = await judged(proxy)
  const row = {
    client: name,
    language,
    version: '',
    whole: '–',
    streamed: '–',
    judged: '–',
    embedding: '–',
    ranking: '–',
    ok: false,
    failure: '',
  }
  const started = performance.now()
  try {
    const folder = join(root, TARGET, language)
    const [command, file] =
      language === 'node' ? [process.execPath, join(folder, 'clients.mjs')] : ['python3', join(root, SOURCE, 'clients.py')]
    if (language === 'node') copyFileSync(join(root, SOURCE, 'clients.mjs'), file)
    const env = { ...process.env, HF_HUB_DISABLE_TELEMETRY: '1', DO_NOT_TRACK: '1', ...(language === 'python' && { PYTHONPATH: folder }) }
    const { stdout } = await execute(command, [file, name, service, proxy, JSON.stringify(RANKING)], {
      env,
      timeout: CLIENT_MS,
      maxBuffer: 1 << 26,
    })
    const got = JSON.parse(stdout.trim().split('\n').at(-1))
    const count = await judgedSince(proxy, before, 2)
    row.version = `${got.package} ${got.version}`
    row.whole = got.whole === REPLY ? 'ok' : 'WRONG'
    row.streamed = got.streamed === REPLY ? 'ok' : 'WRONG'
    row.judged = count === 2 ? 'both' : `${count} of 2`
    if (got.vector !== undefined) row.embedding = got.vector.length === 384 ? 'ok' : 'WRONG'
    if (got.ranks !== undefined) row.ranking = isDeepStrictEqual(got.ranks, await ranked(service)) ? 'ok' : 'WRONG'
    row.ok = row.whole === 'ok' && row.streamed === 'ok' && count === 2 && row.embedding !== 'WRONG' && row.ranking !== 'WRONG'
  } catch (error) {
    row.failure = String(error.stderr ?? error)
      .trim()
      .split('\n')
      .slice(-3)
      .join(' | ')
  }
  return { ...row, seconds: ((performance.now() - started) / 1000).toFixed(1) }
}

function printTable(rows) {
  const columns = ['client', 'language', 'version', 'whole', 'streamed', 'judged', 'embedding', 'ranking', 'seconds']
  const widths = columns.map((column) => Math.max(column.length, ...rows.map((row) => String(row[column]).length)))
  const line = (cells) =>
    cells
      .map((cell, index) => String(cell).padEnd(widths[index]))
      .join('  ')
      .trimEnd()
  console.log(line(columns))
  for (const row of rows) console.log(line(columns.map((column) => row[column])))
  for (const { client, language, failure } of rows.filter((row) => row.failure !== '')) console.log(`\n${client} (${language}): ${failure}`)
  console.log(`\n${rows.filter(({ ok }) => ok).length} of ${rows.length} clients work`)
}

async function main(filters) {
  if (!existsSync(join(root, RERANKER))) throw new StepFailed(`${RERANKER} is not there: run npm run setup -- --for test`)
  await installAll()
  const upstream = await startUpstream()
  const children = []
  try {
    const service = await startGabion(['serve', '--no-grpc', '--classifier', RERANKER])
    children.push(service.child)
    const proxy = await startGabion(['proxy', '--upstream', upstream.url])
    children.push(proxy.child)
    const rows = []
    for (const [language, names] of Object.entries({ node: NODE, python: PYTHON })) {
      for (const name of names.filter((one) => filters.length === 0 || filters.includes(one)))
        rows.push(await runClient(language, name, service.url, proxy.url))
    }
    printTable(rows)
    process.exitCode = rows.length > 0 && rows.every(({ ok }) => ok) ? 0 : 1
  } finally {
    for (const child of children) child.kill()
    upstream.server.closeAllConnections()
    upstream.server.close()
  }
}

if (isMain(import.meta.url)) {
  try {
    await main(process.argv.slice(2))
  } catch (error) {
    reportFailure(error)
  }
}
