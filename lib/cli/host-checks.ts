// Owns the checks for `gabion doctor` before native code is loaded: platform, C library or system, processor, threads, and whether the
// binaries are complete, readable, for this platform and of this version.

import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, release } from 'node:os'
import { join } from 'node:path'
import { verifyBinaries } from '../binary-checksums.js'
import { HOST_LIBC, HOST_TARGET, PACKAGED_TARGETS } from '../host-target.js'
import { BINARIES, PLATFORM_PACKAGE, binariesLocation, problemOfBinaries } from '../native-binaries.js'
import { packagePath } from '../package-folder.js'

/** Result of a check. */
export interface Check {
  name: string
  status: 'ok' | 'warn' | 'fail'
  /** The finding. */
  detail: string
  /** How to fix it; null if it is fine. */
  advice: string | null
}

/** Minimum glibc of ONNX Runtime's builds. */
const MIN_GLIBC = [2, 28] as const
const MIN_NODE = [20, 19] as const
/** Name of the check, oldest release of the kernel, advice. */
const WINDOWS = ['windows', [10, 0], 'Windows 10 or newer is needed'] as const
const MACOS = ['macos', [22, 0], 'macOS 13 or newer is needed'] as const

/** Builds a {@link Check}. */
export function check(name: string, status: Check['status'], detail: string, advice: string | null = null): Check {
  return { name, status, detail, advice }
}

/** Checks the machine. */
export function checkHost(): Check[] {
  return [checkPlatform(), checkNode(), checkSystem(), checkProcessor(), checkThreads()]
}

function checkPlatform(): Check {
  return PACKAGED_TARGETS.includes(HOST_TARGET)
    ? check('platform', 'ok', HOST_TARGET)
    : check('platform', 'warn', HOST_TARGET, `there are no binaries for it, only for ${PACKAGED_TARGETS.join(', ')}`)
}

function checkNode(): Check {
  const version = process.versions.node
  return atLeast(version, MIN_NODE)
    ? check('node', 'ok', version)
    : check('node', 'fail', version, `install Node.js ${MIN_NODE.join('.')} or newer`)
}

/** The C library on Linux, elsewhere the release of the system's kernel. */
function checkSystem(): Check {
  if (HOST_LIBC === 'musl') return check('musl', 'ok', 'without ONNX Runtime, which is not built for it')
  if (HOST_LIBC === 'glibc') return checkGlibc()
  const [name, oldest, advice] = process.platform === 'win32' ? WINDOWS : MACOS
  return atLeast(release(), oldest) ? check(name, 'ok', release()) : check(name, 'fail', release(), advice)
}

function checkGlibc(): Check {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  const version = header.glibcVersionRuntime ?? '0.0'
  return atLeast(version, MIN_GLIBC)
    ? check('glibc', 'ok', version)
    : check('glibc', 'fail', version, `a system with glibc ${MIN_GLIBC.join('.')} or newer is needed`)
}

function atLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [first = 0, second = 0] = version.split('.').map(Number)
  return first > major || (first === major && second >= minor)
}

/** Relevant instruction sets, by Linux's names. */
const NOTED_FLAGS: Readonly<Record<string, readonly string[]>> = {
  x64: ['avx2', 'avx512f', 'avx512_vnni', 'avx_vnni', 'avx512_bf16', 'amx_bf16', 'amx_int8'],
  arm64: ['asimd', 'asimddp', 'i8mm', 'bf16', 'sve'],
}

function checkProcessor(): Check {
  const flags = processorFlags()
  const found = (NOTED_FLAGS[process.arch] ?? []).filter((flag) => flags.has(flag))
  const model = cpus()[0]?.model.trim() ?? 'unknown'
  // Only Linux lists them; the addon asks the processor itself.
  if (process.platform !== 'linux') return check('processor', 'ok', model)
  const detail = `${model}: ${found.join(', ') || 'no vector extension of note'}`
  if (process.arch === 'x64' && flags.size > 0 && !flags.has('avx2')) {
    return check('processor', 'warn', detail, 'without AVX2 the encoder runs, but several times slower')
  }
  return check('processor', 'ok', detail)
}

function processorFlags(): Set<string> {
  const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(readText('/proc/cpuinfo') ?? '')
  return new Set(line?.[1]?.split(' ') ?? [])
}

function checkThreads(): Check {
  const cores = physicalCores()
  const quota = cgroupQuota('/sys/fs/cgroup', readText('/proc/self/cgroup') ?? '', readText)
  const allowed = availableParallelism()
  const detail = [
    `${String(cpus().length)} logical processors`,
    ...(cores === null ? [] : [`${String(cores)} cores`]),
    `${String(allowed)} allowed by affinity`,
    quota === null ? 'no cgroup quota' : `cgroup quota ${quota.toFixed(2)}`,
  ].join(', ')
  if (quota !== null && quota < 1)
    return check('threads', 'warn', detail, 'less than one processor: expect pauses of some 100 ms; raise the quota to 1 or more')
  return check('threads', 'ok', detail)
}

function physicalCores(): number | null {
  const blocks = (readText('/proc/cpuinfo') ?? '').split('\n\n')
  const cores = blocks.flatMap((block) => {
    const core = /^core id\s*:\s*(\d+)$/m.exec(block)?.[1]
    return core === undefined ? [] : [`${/^physical id\s*:\s*(\d+)$/m.exec(block)?.[1] ?? ''}/${core}`]
  })
  return cores.length === 0 ? null : new Set(cores).size
}

/**
 * Processors that the control groups of this process allow, the minimum over its groups and their parents: `cpu.max` of
 * version 2, `cpu.cfs_quota_us` over `cpu.cfs_period_us` of version 1. Null without a limit.
 *
 * @param root  mount point of the control groups
 * @param own   content of `/proc/self/cgroup`
 * @param read  content of a file, null if it cannot be read
 */
export function cgroupQuota(root: string, own: string, read: (file: string) => string | null): number | null {
  let lowest: number | null = null
  const consider = (quota: number, period: number): void => {
    if (quota > 0 && period > 0) lowest = Math.min(lowest ?? Number.POSITIVE_INFINITY, quota / period)
  }
  for (const line of own.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (controllers === undefined || path === undefined) continue
    for (const group of withParents(path)) {
      if (controllers === '') {
        const [quota, period] = (read(join(root, group, 'cpu.max')) ?? 'max 1').trim().split(' ')
        if (quota !== 'max') consider(Number(quota), Number(period))
      } else if (controllers.split(',').includes('cpu')) {
        const folder = join(root, controllers, group)
        consider(Number(read(join(folder, 'cpu.cfs_quota_us')) ?? -1), Number(read(join(folder, 'cpu.cfs_period_us')) ?? -1))
      }
    }
  }
  return lowest
}

/** `/a/b` → `/a/b`, `/a`, `/`. In a container the path may be the host's; then only the last one exists. */
function withParents(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '')
  return Array.from({ length: parts.length + 1 }, (_, index) => `/${parts.slice(0, parts.length - index).join('/')}`)
}

function readText(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

function versionOf(file: string): string {
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

/** Checks the binaries; later checks depend on it. */
export function checkInstallation(): Check {
  const version = versionOf(packagePath('package.json'))
  const failed = (detail: string, advice: string): Check => check('binaries', 'fail', detail, advice)
  const reinstall = `npm install --force ${PLATFORM_PACKAGE}@${version}`
  const location = binariesLocation()
  if (location === null && !PACKAGED_TARGETS.includes(HOST_TARGET))
    return failed(`none are published for ${HOST_TARGET}`, 'from a checkout run "npm run setup", which builds them')
  if (location === null) {
    return failed(
      `neither this package nor a package ${PLATFORM_PACKAGE} has binaries for ${HOST_TARGET}`,
      `optional dependencies were not installed, or node_modules is from another platform: ${reinstall} (from a checkout: npm run setup)`,
    )
  }
  const fix = { local: 'npm run setup', own: `npm install --force gabion@${version}`, platform: reinstall }[location.kind]
  const problem = problemOfBinaries(location.folder)
  if (problem !== null) return failed(problem.what, problem.unreadable ? `chmod -R a+rX '${location.packageFolder}'` : fix)
  if (location.kind === 'platform') {
    const found = versionOf(join(location.packageFolder, 'package.json'))
    if (found !== version) return failed(`${PLATFORM_PACKAGE} is version ${found}, gabion is ${version}: the versions must be equal`, fix)
  }
  const wrong = (verifyBinaries(location.folder) ?? []).filter(({ state }) => state !== 'ok')
  if (wrong.length > 0)
    return failed(
      `modified since their release: ${wrong.map(({ file, state }) => (state === 'missing' ? `${file} is missing` : `${file} differs`)).join(', ')}`,
      fix,
    )
  return check('binaries', 'ok', `${BINARIES.join(' and ')} for ${HOST_TARGET} in ${location.folder}`)
}
