// Runs an arm64 Node on another machine under QEMU's user-mode emulation, for a chosen processor.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../setup/run.mjs'
import { nodeRelease } from '../smoke/nodes.mjs'
import { arm64Folder, unpackArm64Packages } from './packages.mjs'
import { requireTools } from './tools.mjs'

/**
 * Processors to emulate. SVE stays off: with it this emulator and ONNX Runtime's integer kernels disagree about what is right, and
 * which of them is wrong cannot be told without a real processor.
 */
export const processors = {
  dotprod: {
    cpu: 'neoverse-n1',
    features: 'fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp ssbs',
    part: '0xd0c',
  },
  i8mm: {
    cpu: 'max,sve=off',
    features: 'fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp asimdfhm i8mm bf16 ssbs',
    part: '0xd4f',
  },
}

/** Runs a script with Node for arm64 and returns its standard output. */
export async function runOnArm64(processor, args, env = {}) {
  await requireTools(['emulator'])
  const { path: node } = await nodeRelease('20', 'arm64')
  const { cpu, features, part } = processors[processor]
  const libraries = join(arm64Folder, `root-${processor}`)
  if (!existsSync(join(libraries, 'proc', 'cpuinfo'))) {
    await unpackArm64Packages(['libc6', 'libstdc++6', 'libgcc-s1'], libraries)
    mkdirSync(join(libraries, 'proc'))
    // ONNX Runtime reads what the kernel says of the processor: of this machine's it would make nothing and end in a crash.
    writeFileSync(join(libraries, 'proc', 'cpuinfo'), cpuinfo(features, part))
  }
  const options = { log: 'arm64-emulated', env: { ...process.env, NODE_OPTIONS: '', ...env } }
  return run('qemu-aarch64-static', ['-L', libraries, '-cpu', cpu, node, ...args], options)
}

function cpuinfo(features, part) {
  const lines = [
    'BogoMIPS\t: 50.00',
    `Features\t: ${features}`,
    'CPU implementer\t: 0x41',
    'CPU architecture: 8',
    'CPU variant\t: 0x3',
    `CPU part\t: ${part}`,
    'CPU revision\t: 1',
  ]
  return [0, 1].map((processor) => [`processor\t: ${processor}`, ...lines, ''].join('\n')).join('\n')
}
