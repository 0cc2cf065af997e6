// The target of `targets.ts` that reads a model folder: one of its JSON files comes from the input, the others are right.

import { copyFileSync, cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readEncoderConfig } from '../../lib/convert/encoder-config.js'
import { verifyModel } from '../../lib/models/verify.js'
import { readModelFolder } from '../../lib/models/model-folder.js'
import { isRefusal } from './refusal.js'
import { scratchFolder } from './scratch.js'

const family = fileURLToPath(new URL('../fixtures/family/dense', import.meta.url))

/** The files that an input's first line may name. */
const NAMES = [
  'config.json',
  'modules.json',
  'sentence_bert_config.json',
  'config_sentence_transformers.json',
  '1_Pooling/config.json',
  '2_Dense/config.json',
  'manifest.json',
  'onnx/manifest.json',
  'selftest.json',
  'model.safetensors.index.json',
]

let model: string | undefined

/** One folder for all inputs of a process: copying takes longer than reading. */
function wholeModel(): string {
  if (model === undefined) {
    const made = scratchFolder('fuzz-model')
    cpSync(family, made, { recursive: true, filter: (file) => !/golden|README/.test(file) })
    mkdirSync(join(made, 'onnx'))
    model = made
  }
  return model
}

/** An input is the name of a file on the first line, then its content. */
export async function readModelFiles(input: Buffer): Promise<void> {
  const end = input.indexOf(0x0a)
  const name = input.toString('latin1', 0, Math.max(0, end))
  if (!NAMES.includes(name)) return
  const folder = wholeModel()
  const file = join(folder, name)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, input.subarray(end + 1))
  try {
    for (const read of [readEncoderConfig, verifyModel, readModelFolder]) {
      await read(folder).catch((error: unknown) => {
        if (!isRefusal(error)) throw error
      })
    }
  } finally {
    rmSync(file)
    const original = join(family, name)
    if (existsSync(original)) copyFileSync(original, file)
  }
}
