// Which Debian and Ubuntu packages carry the missing tools, and their installation. Installs as root; otherwise prints the command.

import { existsSync, readFileSync } from 'node:fs'
import { StepFailed, run } from './run.mjs'
import { atLeast, compareVersions } from './toolchain.mjs'

const packagesOfTool = {
  cmake: ['cmake'],
  ninja: ['ninja-build'],
  go: ['golang-go'],
  python3: ['python3'],
  pip: ['python3-pip'],
  certificates: ['ca-certificates'],
  gtest: ['libgtest-dev'],
  chromium: ['chromium', 'fonts-dejavu-core'],
  redis: ['redis-server'],
}

const oldestRust = '1.85'

/** Fallback without package lists: the Rust and C++ compilers of each release that are new enough. */
const byRelease = {
  bookworm: { rust: ['rustc-web', 'cargo-web'], compiler: 'g++' },
  trixie: { rust: ['rustc', 'cargo'], compiler: 'g++' },
  jammy: { rust: ['rustc-1.85', 'cargo-1.85'], compiler: 'g++-12' },
  noble: { rust: ['rustc-1.85', 'cargo-1.85'], compiler: 'g++' },
}

/** Installs the packages of the missing tools, and of optional ones where apt has them; a user who is not root gets the exact command instead (StepFailed with exit code 2). */
export async function installMissing(missing, env, optional = []) {
  const names = missing.map((tool) => tool.name)
  const lines = missing.map((tool) => {
    const seen = tool.seen?.length > 0 ? `, but ${tool.seen.join(', ')}` : ''
    return `missing: ${tool.what}${tool.minimum === undefined ? '' : ` ${tool.minimum} or newer`}${seen}`
  })
  if (!existsSync('/usr/bin/apt-get')) {
    throw new StepFailed('Please install the tools named above: this system has no apt-get to install them with', { lines, exitCode: 2 })
  }
  if (process.getuid() !== 0) {
    const packages = await choosePackages(names)
    const install = `sudo apt-get install -y --no-install-recommends ${packages.join(' ')}`
    throw new StepFailed(`Please install the tools named above, then run this again:\n\n  sudo apt-get update && ${install}\n`, {
      lines,
      exitCode: 2,
    })
  }
  const aptEnv = { ...env, DEBIAN_FRONTEND: 'noninteractive' }
  await run('apt-get', ['update'], { log: 'toolchain', env: aptEnv })
  for (const tool of optional) if (await isInstallable(tool)) names.push(tool.name)
  const packages = await choosePackages(names)
  if (packages.length === 0) return []
  await run('apt-get', ['install', '-y', '--no-install-recommends', ...packages], { log: 'toolchain', env: aptEnv })
  return packages
}

/** Whether the package of an optional tool can be installed from here: root, apt, and more than a stub that fetches a snap. */
export async function isInstallable({ name }) {
  if (!existsSync('/usr/bin/apt-get') || process.getuid() !== 0) return false
  const [main] = packagesOfTool[name]
  const version = (await candidateVersions([main])).get(main)
  return version !== undefined && !version.includes('snap')
}

async function choosePackages(names) {
  const packages = names.flatMap((name) => packagesOfTool[name] ?? [])
  const known = byRelease[codename()] ?? byRelease.trixie
  if (names.includes('g++')) packages.push((await newestCompiler()) ?? known.compiler)
  if (names.includes('rustc') || names.includes('cargo')) packages.push(...((await rustPackages()) ?? known.rust))
  return packages
}

/** The release's own compiler if it is new enough, else the newest versioned one. */
async function newestCompiler() {
  const candidates = await candidateVersions(['g++', 'g++-12', 'g++-13', 'g++-14'])
  const plain = /:(\d+)/.exec(candidates.get('g++') ?? '')?.[1]
  if (plain !== undefined && atLeast(plain, '12')) return 'g++'
  return [...candidates.keys()].filter((name) => name !== 'g++').at(-1) ?? null
}

/** Plain packages if they are new enough; else Debian's newer pair for old releases; else Ubuntu's versioned ones, the oldest sufficient one. */
async function rustPackages() {
  const listed = await aptCache(['search', '--names-only', '^rustc-1\\.[0-9]+$'])
  const versioned = listed
    .split('\n')
    .flatMap((line) => /^rustc-(1\.\d+) /.exec(line)?.[1] ?? [])
    .sort(compareVersions)
  const suffixes = ['', '-web', ...versioned.map((version) => `-${version}`)]
  const candidates = await candidateVersions(suffixes.flatMap((suffix) => [`rustc${suffix}`, `cargo${suffix}`]))
  const newEnough = (name) => atLeast(/\d+\.\d+/.exec(candidates.get(name) ?? '0.0')?.[0] ?? '0.0', oldestRust)
  const suffix = suffixes.find((one) => newEnough(`rustc${one}`) && candidates.has(`cargo${one}`))
  return suffix === undefined ? null : [`rustc${suffix}`, `cargo${suffix}`]
}

/** Package name → version that apt would install; names that apt does not know are left out. */
async function candidateVersions(names) {
  const versions = new Map()
  let name = null
  for (const line of (await aptCache(['policy', ...names])).split('\n')) {
    const header = /^(\S+):$/.exec(line)
    const candidate = /^ {2}Candidate: (?!\(none\))(\S+)/.exec(line)
    if (header !== null) name = header[1]
    if (candidate !== null && name !== null) versions.set(name, candidate[1])
  }
  return versions
}

async function aptCache(args) {
  try {
    return await run('apt-cache', args, { env: { ...process.env, LC_ALL: 'C' } })
  } catch {
    return ''
  }
}

function codename() {
  return /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? ''
}
