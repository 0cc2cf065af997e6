// A real Prometheus of a test's own. Where none is installed, Debian's package is unpacked under build/, not installed.

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { atEnd, startProcess, until } from './ending.js'
import { freePort } from './redis-server.js'

const execute = promisify(execFile)
const FOLDER = resolve('build/prometheus')

/** Where `prometheus` and `promtool` are. */
async function programs(): Promise<string> {
  const here = await execute('prometheus', ['--version']).then(
    () => true,
    () => false,
  )
  if (here) return ''
  const found = join(FOLDER, 'usr', 'bin')
  if (existsSync(found)) return `${found}/`
  const fresh = `${FOLDER}.${process.pid}`
  await mkdir(fresh, { recursive: true })
  const download = (): Promise<unknown> => execute('apt-get', ['download', '-q', 'prometheus'], { cwd: fresh })
  // A slim image has no lists of packages.
  await download().catch(async () => {
    await execute('apt-get', ['update', '-q'])
    await download()
  })
  await execute('sh', ['-c', 'dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb'], { cwd: fresh })
  await rename(fresh, FOLDER)
  return `${found}/`
}

/** What `promtool` says of a file or of its input; rejects with it when that is a complaint. */
export async function promtool(args: readonly string[], input = ''): Promise<string> {
  const run = execute(`${await programs()}promtool`, [...args])
  run.child.stdin?.end(input)
  try {
    return (await run).stdout
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    throw new Error(`promtool ${args.join(' ')}: ${stdout}${stderr}`, { cause: error })
  }
}

/** A running Prometheus. */
export interface Prometheus {
  /** The values of a query by the label `job`. */
  readonly query: (expression: string) => Promise<Map<string, number>>
}

/** Starts one with a configuration. */
export async function startPrometheus(config: string): Promise<Prometheus> {
  const folder = await mkdtemp(join(tmpdir(), 'gabion-prometheus-'))
  atEnd(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'prometheus.yaml')
  await writeFile(file, config)
  await promtool(['check', 'config', file])
  const url = `http://127.0.0.1:${await freePort()}`
  const options = [`--config.file=${file}`, `--storage.tsdb.path=${join(folder, 'data')}`, `--web.listen-address=${url.slice(7)}`]
  const { child } = startProcess(`${await programs()}prometheus`, options, 'ignore')
  await once(child, 'spawn')
  await until('Prometheus is ready', async () => (await fetch(`${url}/-/ready`).catch(() => null))?.ok, 50)
  return {
    query: async (expression) => {
      const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`)
      const { data } = (await response.json()) as { data: { result: { metric: { job?: string }; value: [number, string] }[] } }
      return new Map(data.result.map(({ metric, value }) => [metric.job ?? '', Number(value[1])]))
    },
  }
}
