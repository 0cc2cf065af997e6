// Downloads Debian packages of any architecture and release and unpacks them into a folder, with package lists of its own in
// build/debian: the machine's lists and packages stay unchanged.

import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { StepFailed, root, run } from './setup/run.mjs'

const log = 'debian-packages'

/** The release that this machine's sources name. */
const ownRelease = () => /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? ''

/**
 * Downloads packages (`name` or `name=version`), without what they depend on, and unpacks them into `folder`, which is emptied first.
 *
 * @param release Debian's name of a release; without it this machine's
 */
export async function unpackDebianPackages(names, folder, { architecture, release = ownRelease() }) {
  if (!existsSync('/usr/bin/apt-get')) {
    throw new StepFailed('This takes Debian packages, and this system has no apt-get', { exitCode: 2 })
  }
  const apt = join(root, 'build', 'debian', `${release}-${architecture}`)
  const downloads = join(apt, 'downloads')
  rmSync(downloads, { recursive: true, force: true })
  for (const name of ['lists/partial', 'cache/archives/partial', 'downloads']) mkdirSync(join(apt, name), { recursive: true })
  const env = { ...process.env, APT_CONFIG: writeConfiguration(apt, architecture, release) }
  await run('apt-get', ['update'], { log, env })
  await run('apt-get', ['download', ...names], { log, env, cwd: downloads })
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(downloads)) await run('dpkg-deb', ['-x', join(downloads, name), folder], { log })
  rmSync(downloads, { recursive: true })
}

function writeConfiguration(apt, architecture, release) {
  const status = join(apt, 'status')
  writeFileSync(status, '')
  const settings = [
    ['Dir::State', apt],
    ['Dir::State::Lists', join(apt, 'lists')],
    ['Dir::State::Status', status],
    ['Dir::Cache', join(apt, 'cache')],
    ['APT::Architecture', architecture],
    ['Acquire::Languages', 'none'],
    // The sandbox's user cannot write into a checkout.
    ['APT::Sandbox::User', 'root'],
    ...(release === ownRelease() ? [] : sourcesOf(apt, release)),
  ]
  const file = join(apt, 'apt.conf')
  writeFileSync(file, `${settings.map(([key, value]) => `${key} "${value}";`).join('\n')}\nAPT::Architectures { "${architecture}"; };\n`)
  return file
}

/** This machine's sources with another release's name, as settings for apt. */
function sourcesOf(apt, release) {
  const parts = join(apt, 'sources.list.d')
  rmSync(parts, { recursive: true, force: true })
  mkdirSync(parts, { recursive: true })
  const own = '/etc/apt/sources.list.d'
  const files = ['/etc/apt/sources.list', ...(existsSync(own) ? readdirSync(own).map((name) => join(own, name)) : [])]
  for (const [index, file] of files.filter((one) => /\.(list|sources)$/.test(one) && existsSync(one)).entries()) {
    const text = readFileSync(file, 'utf8').replaceAll(new RegExp(`\\b${ownRelease()}\\b`, 'g'), release)
    writeFileSync(join(parts, `${index}${/\.\w+$/.exec(file)[0]}`), text)
  }
  return [
    ['Dir::Etc::SourceList', '/dev/null'],
    ['Dir::Etc::SourceParts', parts],
  ]
}
