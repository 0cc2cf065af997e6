// The Debian packages that cross-compiling and emulation need on this machine. As root, installs what is missing; otherwise prints the command.

import { existsSync } from 'node:fs'
import { StepFailed, run } from '../setup/run.mjs'

const tools = {
  compiler: { files: ['/usr/bin/aarch64-linux-gnu-g++', '/usr/bin/aarch64-linux-gnu-strip'], packages: ['g++-aarch64-linux-gnu'] },
  rust: { files: ['/usr/share/doc/rustc-web', '/usr/share/doc/cargo-web'], packages: ['rustc-web', 'cargo-web'] },
  emulator: { files: ['/usr/bin/qemu-aarch64-static'], packages: ['qemu-user-static'] },
}

/** Makes sure that tools (names of the table above) are installed. Throws StepFailed. */
export async function requireTools(names) {
  const missing = names.filter((name) => tools[name].files.some((file) => !existsSync(file)))
  if (missing.length === 0) return
  const packages = missing.flatMap((name) => tools[name].packages)
  const command = `apt-get install -y --no-install-recommends ${packages.join(' ')}`
  if (!existsSync('/usr/bin/apt-get') || process.getuid() !== 0) {
    throw new StepFailed(`For arm64 these Debian packages are needed:\n\n  sudo apt-get update && sudo ${command}\n`, { exitCode: 2 })
  }
  console.log(`Installing ${packages.join(' ')} …`)
  const options = { log: 'arm64-tools', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }
  await run('apt-get', ['update'], options)
  await run('apt-get', command.split(' ').slice(1), options)
}
