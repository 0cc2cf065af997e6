#!/usr/bin/env node
// Measures gabion as a function of AWS Lambda or a small container has it: installed, zipped, unpacked into a read-only folder, and started anew
// for each run, with a bound on memory and, if wanted, on processor time. The bounds are those of a control group, whose memory includes
// the page cache; without the right to make one the script says so and measures without.
//
// usage: node scripts/function-zip.mjs [--packages FOLDER] [--memory MB] [--processors N] [--runs N]

import { execFile } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { hostTarget } from './prepare-ort.mjs'
import { pack } from './release/pack.mjs'
import { StepFailed, reportFailure, run } from './setup/run.mjs'
import { makeApp } from './smoke/apps.mjs'
import { ownNothing } from './smoke/environment.mjs'
import { startRegistry } from './smoke/registry.mjs'

const PERIOD_US = 100_000

const handler = `const started = performance.timeOrigin
const { Embedder } = await import('gabion')
const imported = Date.now()
const embedder = await Embedder.load()
const loaded = Date.now()
await embedder.embed('The kettle is on.')
const first = Date.now()
const { maxRSS } = process.resourceUsage()
console.log(JSON.stringify({ import: imported - started, load: loaded - imported, first: first - loaded, whole: first - started, maxRSS }))
process.exit()
`

async function measure({ packages, bounds, runs }) {
  const place = mkdtempSync(join(tmpdir(), 'gabion-function-'))
  const group = openGroup(bounds)
  try {
    const { zip, folder } = await deploy(place, packages)
    console.log(`zip ${megabytes(statSync(zip).size)}, unpacked ${megabytes(Number((await run('du', ['-sb', folder])).split('\t')[0]))}`)
    console.log(
      group === null
        ? 'no control group can be made here: no bounds'
        : `bounds: ${bounds.memoryMb} MB, ${bounds.processors ?? 'all'} processors`,
    )
    for (const cold of [true, false]) {
      const found = []
      for (let index = 0; index < runs; index++) {
        if (cold) await forget(folder)
        found.push(await start(folder, group))
      }
      const columns = Object.keys(found[0]).map((key) => `${key} ${middle(found.map((one) => one[key]))}`)
      console.log(
        `${cold ? 'files not in memory' : 'files in the page cache'}: ${columns.join(', ')} (median of ${runs}; ms, maxRSS in kB)`,
      )
    }
    if (group !== null) console.log(`highest use of the control group: ${group.peak()}`)
  } finally {
    group?.close()
    await run('chmod', ['-R', 'u+w', place])
    rmSync(place, { recursive: true })
  }
}

/** Installs, zips, and unpacks the zip into a folder without write permission. */
async function deploy(place, packages) {
  const tarballs =
    packages === undefined
      ? await pack({ targets: [hostTarget], withOffline: false }).then(({ main, platforms }) => [main, ...Object.values(platforms)])
      : readdirSync(packages).flatMap((name) => (/^gabion-(linux-\w+-)?\d[^-]*\.tgz$/.test(name) ? [join(packages, name)] : []))
  const registry = await startRegistry(tarballs)
  const app = join(place, 'app')
  try {
    await makeApp(app, 'npm', registry.url)
  } finally {
    registry.close()
  }
  writeFileSync(join(app, 'handler.mjs'), handler)
  const zip = join(place, 'function.zip')
  await run('zip', ['-qr', zip, '.'], { cwd: app })
  const folder = join(place, 'task')
  mkdirSync(folder)
  await run('unzip', ['-q', zip, '-d', folder])
  rmSync(app, { recursive: true })
  await run('chmod', ['-R', 'a-w', folder])
  // Pages that are not on disk yet cannot be dropped from memory.
  await run('sync', ['--file-system', folder])
  chmodSync(place, 0o755)
  return { zip, folder }
}

/** Drops a folder's files from the page cache. */
async function forget(folder) {
  await run('find', [folder, '-type', 'f', '-exec', 'dd', 'if={}', 'iflag=nocache', 'count=0', 'status=none', ';'])
}

/** One start in the control group; throws if the process is killed. */
async function start(folder, group) {
  const shell = group === null ? 'exec "$@"' : `for file in ${group.joins.join(' ')}; do echo $$ > "$file"; done; exec "$@"`
  const env = { PATH: process.env.PATH, PREBUILDS_ONLY: '1', HOME: '/nonexistent' }
  const options = { cwd: folder, env: { ...ownNothing(), ...env, NODE_OPTIONS: '' } }
  const { stdout } = await promisify(execFile)('sh', ['-c', shell, 'sh', process.execPath, 'handler.mjs'], options)
  return JSON.parse(stdout)
}

/** A control group with the bounds, of version 2 or 1; null if none can be made. */
function openGroup({ memoryMb, processors }) {
  const name = `gabion-function-${process.pid}`
  const bytes = String(memoryMb * 1024 * 1024)
  const quota = processors === null ? null : String(Math.round(processors * PERIOD_US))
  const base = '/sys/fs/cgroup'
  const isTwo = existsSync(join(base, 'cgroup.controllers'))
  const folders = isTwo ? [join(base, name)] : [join(base, 'memory', name), ...(quota === null ? [] : [join(base, 'cpu', name)])]
  const settings = isTwo
    ? [[folders[0], 'memory.max', bytes], ...(quota === null ? [] : [[folders[0], 'cpu.max', `${quota} ${PERIOD_US}`]])]
    : [[folders[0], 'memory.limit_in_bytes', bytes], ...(quota === null ? [] : [[folders[1], 'cpu.cfs_quota_us', quota]])]
  try {
    for (const folder of folders) mkdirSync(folder)
    for (const [folder, file, value] of settings) writeFileSync(join(folder, file), value)
  } catch (error) {
    if (!['EACCES', 'ENOENT', 'EROFS', 'EPERM'].includes(error.code)) throw new StepFailed(error.message)
    return null
  }
  return {
    joins: folders.map((folder) => join(folder, 'cgroup.procs')),
    peak: () => megabytes(Number(readFileSync(join(folders[0], isTwo ? 'memory.peak' : 'memory.max_usage_in_bytes'), 'utf8'))),
    close: () => folders.forEach((folder) => rmdirSync(folder)),
  }
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`

const middle = (values) => Math.round(values.sort((a, b) => a - b)[Math.floor(values.length / 2)])

try {
  const { values } = parseArgs({
    options: {
      packages: { type: 'string' },
      memory: { type: 'string', default: '512' },
      processors: { type: 'string' },
      runs: { type: 'string', default: '7' },
    },
  })
  await measure({
    packages: values.packages,
    bounds: { memoryMb: Number(values.memory), processors: values.processors === undefined ? null : Number(values.processors) },
    runs: Number(values.runs),
  })
} catch (error) {
  reportFailure(error)
}
