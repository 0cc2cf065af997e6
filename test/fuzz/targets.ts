// What is fuzzed in TypeScript: everything that reads a file of anyone's making. A target takes bytes and either does what it should or
// throws a GabionError that blames the input; anything else is a finding.
//
// `npm run fuzz` lets Jazzer.js change the files of corpus/ under the guidance of coverage; regressions.test.ts runs every file of corpus/
// and regressions/ in the ordinary tests.

import { parseArtifact } from '../../lib/detection/erosion/artifact.js'
import { parsePolicySet } from '../../lib/detection/policy/policy-artifact.js'
import { parsePolicyFile } from '../../lib/detection/policy/policy-file.js'
import { parseTranscript, type TranscriptForm } from '../../lib/monitor/transcript.js'
import { readModelFiles } from './model-files.js'
import { expectRefusal, isRefusal } from './refusal.js'
import { scratchFolder } from './scratch.js'
import { importBytes, readNumpy, readOnnx, readProjection, readSafetensors } from './binary-files.js'

/** Reads one input; files may be written into `folder`. */
export type FuzzTarget = (input: Buffer, folder: string) => void | Promise<void>

const utf8 = (input: Buffer): string => input.toString('utf8')
const FORMS: readonly (TranscriptForm | undefined)[] = ['json', 'jsonl', 'csv', undefined]

function everyForm(input: Buffer): void {
  for (const form of FORMS) expectRefusal(() => parseTranscript(utf8(input), 'fuzzed', form))
}

/** Every target by the name of its folder in corpus/ and regressions/. */
export const FUZZ_TARGETS: Readonly<Record<string, FuzzTarget>> = {
  safetensors: readSafetensors,
  onnx: readOnnx,
  model: readModelFiles,
  projection: readProjection,
  import: importBytes,
  npy: readNumpy,
  transcript: everyForm,
  artifact: (input) => void parseArtifact(utf8(input), 'fuzzed'),
  policy: (input) => void parsePolicyFile(utf8(input), 'fuzzed.yaml'),
  'policy-set': (input) => void parsePolicySet(utf8(input), 'fuzzed'),
}

/** One folder for all inputs of a process. */
let folder: string | undefined

/** Runs a target on an input; throws what is a finding. */
export async function fuzzOnce(target: FuzzTarget, input: Buffer): Promise<void> {
  try {
    folder ??= scratchFolder('fuzz')
    await target(input, folder)
  } catch (error) {
    if (!isRefusal(error)) throw error
  }
}
