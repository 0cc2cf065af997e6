// Fits the planes of the classic detector on models/detectors/classic/safe-sentences.txt with the bundled model, one for
// each preset, and writes them with a manifest. Run after `npm run build`, when the sentences or the model have changed.

import { createHash } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { Embedder, Projection } from '../dist/index.js'
import { CLASSIC_FOLDER, DEPLOYMENT_SAFE_TEXT } from '../dist/internals.js'

const SENTENCES = 'safe-sentences.txt'
const MIN_SENTENCES = 300
// The demo preset calls (0, 1) safe, while the fit decides the signs of components by a convention that knows nothing of
// safety. Replies like these must come out on the positive side, or the detector would raise its alerts upside down.
const ON_SAFE_GROUND = [
  'Before I can look at the account, I need to verify your identity.',
  "I can't make an exception to the verification steps, even for a small change.",
  "For privacy reasons I can't look into another customer's account.",
]

const text = await readFile(new URL(SENTENCES, pathOf('')), 'utf8')
const sentences = text.trim().split('\n')
if (sentences.length < MIN_SENTENCES)
  throw new Error(`${SENTENCES}: expected ${MIN_SENTENCES} sentences or more, found ${sentences.length}`)
if (new Set(sentences).size !== sentences.length) throw new Error(`${SENTENCES}: a sentence occurs twice`)

const embedder = await Embedder.load({ cache: false })
const batch = await embedder.embedBatch(sentences)
const { model, modelHash, precision } = embedder.info
const presets = {}
for (const preset of ['demo', 'deployment']) {
  const options = { components: 2, model: { name: model, hash: modelHash, precision }, standardize: preset === 'deployment' }
  const projection = Projection.fitPca(batch, options)
  if (preset === 'demo') await checkSafeSide(projection)
  const file = `${preset}.projection.json`
  await projection.save(fileURLToPath(pathOf(file)))
  presets[preset] = {
    projection: file,
    id: projection.id,
    standardized: options.standardize,
    explainedVarianceRatio: Array.from(projection.explainedVarianceRatio),
    safe: preset === 'demo' ? { vector: [0, 1] } : { text: DEPLOYMENT_SAFE_TEXT },
  }
  process.stdout.write(`${file}: ${percent(projection.explainedVarianceRatio)} of the variance\n`)
}
embedder.dispose()

const manifest = {
  format: 'gabion-classic-artifact',
  version: 1,
  sentences: { file: SENTENCES, count: sentences.length, sha256: createHash('sha256').update(text).digest('hex') },
  model: { name: model, hash: modelHash, precision },
  presets,
}
const part = pathOf('manifest.json.part')
await writeFile(part, `${JSON.stringify(manifest, null, 2)}\n`)
await rename(part, pathOf('manifest.json'))

function pathOf(file) {
  return join(CLASSIC_FOLDER, file)
}

async function checkSafeSide(projection) {
  for (const reply of ON_SAFE_GROUND) {
    const [, y] = await embedder.embed(reply, { projection })
    if (!(y > 0))
      throw new Error(`the second axis points away from safe ground: "${reply}" lies at ${y.toFixed(2)}; the sentences need a better mix`)
  }
}

function percent(ratios) {
  return Array.from(ratios, (ratio) => `${(100 * ratio).toFixed(1)} %`).join(' and ')
}
