// Asks: wow large is an installation, downloaded and on disk, compared with the baselines?

import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { runBench } from './harness/command.mjs'
import { installation, installed } from './harness/installations.mjs'

const TITLE = 'Size'
const QUESTION = 'How large is an installation, downloaded and on disk, compared with the baselines?'

/** A one-platform package with its model, in megabytes. */
const TARGET_MB = 110

const megabytes = (bytes) => (bytes / 1e6).toFixed(1)

async function measure({ say }) {
  const sizes = []
  for (const name of Object.keys(installed)) {
    say(name)
    sizes.push(await installation(name))
  }
  const [own, ...baselines] = sizes
  const parts = ['gabion', ...readdirSync(join(own.folder, 'node_modules')).filter((name) => name.startsWith('gabion-'))]
  const ownBytes = parts.reduce((all, name) => all + bytesBelow(join(own.folder, 'node_modules', name)), 0)
  const model = bytesBelow(join(own.folder, 'node_modules', 'gabion', 'models'))
  const smallest = Math.min(...baselines.map(({ unpackedBytes }) => unpackedBytes))
  return {
    tables: [
      {
        title: 'one installation, one platform, megabytes',
        head: ['package', 'downloaded', 'unpacked', 'packages', 'with a model'],
        rows: sizes.map(({ name, version, packedBytes, unpackedBytes, packages }) => [
          `${name} ${version}`,
          megabytes(packedBytes),
          megabytes(unpackedBytes),
          String(packages),
          name === 'gabion' ? 'yes' : 'no',
        ]),
      },
    ],
    notes: [
      `Each alone in an empty folder by npm with an empty cache and no install scripts; gabion from a registry that serves its packages as they would be published. Of its ${megabytes(own.unpackedBytes)} MB unpacked ${megabytes(ownBytes)} MB are its own (${megabytes(model)} MB model, the rest binaries and code) and ${megabytes(own.unpackedBytes - ownBytes)} MB its dependencies, most of them the service's.`,
      'The others fetch a model at first use: all-MiniLM-L6-v2 in fp32 has 91 MB, in int8 23 MB.',
    ],
    targets: [
      target("gabion's own packages for one platform, model included", ownBytes / 1e6, TARGET_MB),
      target('the whole installation, against the smallest baseline', own.unpackedBytes / 1e6, smallest / 1e6),
    ],
    measurements: { sizes, ownBytes },
  }
}

const target = (what, value, limit) => ({ what, value, limit: Number(limit.toFixed(1)), unit: 'MB', met: value <= limit })

function bytesBelow(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries.reduce((all, entry) => all + (entry.isFile() ? lstatSync(join(entry.parentPath ?? entry.path, entry.name)).size : 0), 0)
}

await runBench(TITLE, QUESTION, measure)
