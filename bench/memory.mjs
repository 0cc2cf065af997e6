// Asks: how much memory does a process that embeds texts need beyond a bare one, and does it grow?

import { execFile } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { makeBatchedModel } from './harness/batched-graph.mjs'
import { runBench } from './harness/command.mjs'
import { loadGabion } from './harness/gabion.mjs'
import { temporaryFolder } from './harness/model-copies.mjs'
import { assertSameVector } from './harness/onnxruntime.mjs'
import { mixedTexts } from './harness/texts.mjs'

const TITLE = 'Memory'
const QUESTION = 'How much resident memory does a process that embeds texts need beyond bare Node, and does it grow?'

const CHILD = fileURLToPath(new URL('harness/memory-child.mjs', import.meta.url))
const TEXTS = 10_000
const PARTS = 10
/** Baselines take several times as long; fewer texts are in their favor. */
const BASELINE_PARTS = 2
const IMPLEMENTATIONS = ['gabion', 'gabion with its cache', 'onnxruntime-node', 'transformers.js']
/** Targets for gabion, in MB: beyond bare Node after all texts, and of growth over their second half. */
const TARGET_MB = 110
const FLAT_MB = 2

const MB = 1e6
const execute = promisify(execFile)

async function measure({ quick, say }) {
  const embedder = await loadGabion({ threads: 1 })
  const own = mixedTexts(embedder, TEXTS).texts
  const count = quick ? 200 : TEXTS
  const texts = Array.from({ length: count }, (_, index) => own[index % own.length])
  const model = await makeBatchedModel(embedder.info.folder)
  const place = await temporaryFolder()
  try {
    const start = async (name, parts) => {
      say(name)
      const file = join(place, 'texts.json')
      await writeFile(file, JSON.stringify(texts.slice(0, (count / PARTS) * parts)))
      const args = [name, String(parts), file, embedder.info.folder, model.parent, model.name, model.graphFile]
      const { stdout } = await execute(process.execPath, ['--expose-gc', CHILD, ...args], { maxBuffer: 1 << 26 })
      const lines = stdout.trim().split('\n').map((line) => JSON.parse(line)) // prettier-ignore
      const { vector } = lines[0]
      if (vector !== null) assertSameVector(name, await embedder.embed(texts[0]), vector)
      return lines.map(({ rss }) => rss / MB)
    }
    const bare = (await start('node', PARTS)).at(-1)
    const measurements = []
    for (const name of IMPLEMENTATIONS) {
      const parts = name.startsWith('gabion') ? PARTS : BASELINE_PARTS
      measurements.push({ name, parts, texts: (count / PARTS) * parts, residentMb: await start(name, parts) })
    }
    return resultOf(bare, measurements, count)
  } finally {
    await model.remove()
    await rm(place, { recursive: true })
  }
}

function resultOf(bare, measurements, count) {
  const beyond = (value) => (value - bare).toFixed(0)
  const growth = ({ residentMb }) => residentMb.at(-1) - residentMb[residentMb.length / 2 - 1]
  const [gabion] = measurements
  return {
    tables: [
      {
        title: `Resident memory beyond bare Node (${bare.toFixed(0)} MB, the texts in it), MB`,
        head: ['one thread, one text at a time', `after ${count / PARTS} texts`, 'after all', 'of', 'growth in the second half'],
        rows: measurements.map((each) => [
          each.name,
          beyond(each.residentMb[0]),
          beyond(each.residentMb.at(-1)),
          String(each.texts),
          growth(each).toFixed(1),
        ]),
      },
    ],
    notes: [
      'Each in its own process, after a garbage collection; pages of mapped files count. gabion has its bundled model in bf16, the others the same weights in fp32. Baselines run fewer texts, which is in their favor.',
      'gabion is measured without its cache, which holds on to vectors by design up to a bound of bytes, and with it.',
    ],
    targets: [
      { what: 'gabion beyond bare Node', value: gabion.residentMb.at(-1) - bare, limit: TARGET_MB, unit: 'MB' },
      { what: 'growth of gabion in the second half', value: growth(gabion), limit: FLAT_MB, unit: 'MB' },
    ].map((target) => ({ ...target, met: target.value <= target.limit })),
    measurements: { bareMb: bare, implementations: measurements },
  }
}

await runBench(TITLE, QUESTION, measure)
