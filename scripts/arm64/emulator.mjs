// Runs Node for arm64 under QEMU's user-mode emulation of a chosen processor.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../setup/run.mjs'
import { nodeRelease } from '../smoke/nodes.mjs'
import { arm64Folder, unpackArm64Packages } from './packages.mjs'
import { requireTools } from './tools.mjs'

const common = 'fp asimd evtstrm crc32 cpuid'
const newer = `${common} aes pmull sha1 sha2 atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp ssbs`

/** Processors by the emulator's names. SVE is off: with it ONNX Runtime's integer kernels give wrong results under the emulator. */
const processors = {
  'cortex-a72': { features: common, part: '0xd08' },
  'neoverse-n1': { features: newer, part: '0xd0c' },
  'max,sve=off,pauth-impdef=on': { features: `${newer} asimdfhm i8mm bf16`, part: '0xd4f' },
}

/** The instruction sets of gabion's kernels, each with a processor that has it. */
export const instructionSets = {
  neon: 'cortex-a72',
  'neon-dotprod': 'neoverse-n1',
  'neon-i8mm': 'max,sve=off,pauth-impdef=on',
  'neon-bf16': 'max,sve=off,pauth-impdef=on',
}

/** Runs a script with Node for arm64 and an instruction set's kernels, and returns its standard output. */
export async function runNodeOnArm64(instructionSet, args, env = {}) {
  const { path: node } = await nodeRelease('20', 'arm64')
  return runOnArm64(instructionSet, [node, ...args], { NODE_OPTIONS: '', GABION_ISA: instructionSet, ...env })
}

/** Runs a program for arm64 on a processor that has an instruction set, and returns its standard output. */
export async function runOnArm64(instructionSet, command, env = {}) {
  await requireTools(['emulator'])
  const cpu = instructionSets[instructionSet]
  const libraries = join(arm64Folder, `root-${cpu.split(',')[0]}`)
  if (!existsSync(join(libraries, 'proc', 'cpuinfo'))) {
    await unpackArm64Packages(['libc6', 'libstdc++6', 'libgcc-s1'], libraries)
    mkdirSync(join(libraries, 'proc'))
    // ONNX Runtime reads /proc/cpuinfo: this machine's would make it crash.
    writeFileSync(join(libraries, 'proc', 'cpuinfo'), cpuinfo(processors[cpu]))
  }
  const options = { log: 'arm64-emulated', env: { ...process.env, ...env } }
  return run('qemu-aarch64-static', ['-L', libraries, '-cpu', cpu, ...command], options)
}

function cpuinfo({ features, part }) {
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
