// What is fuzzed in TypeScript: everything that reads a file of anyone's making, and the request targets of the proxy. A target takes
// bytes and either does what it should or throws a GabionError that blames the input; anything else is a finding.
//
// `npm run fuzz` lets Jazzer.js change the files of corpus/ under the guidance of coverage; regressions.test.ts runs every file of corpus/
// and regressions/ in the ordinary tests.

import { parseArtifact } from '../../lib/detection/erosion/artifact.js'
import { parsePolicySet } from '../../lib/detection/policy/policy-artifact.js'
import { parsePolicyFile } from '../../lib/detection/policy/policy-file.js'
import { TRANSCRIPT_FORMATS } from '../../lib/transcripts/options.js'
import { parseTranscript } from '../../lib/transcripts/transcript.js'
import { parseUpstream, targetOf } from '../../lib/server/proxy/target.js'
import { readModelFiles } from './model-files.js'
import { expectRefusal, isRefusal } from './refusal.js'
import { scratchFolder } from './scratch.js'
import { importBytes, readNumpy, readOnnx, readProjection, readSafetensors } from './binary-files.js'

/** Reads one input; files may be written into `folder`. */
export type FuzzTarget = (input: Buffer, folder: string) => void | Promise<void>

const utf8 = (input: Buffer): string => input.toString('utf8')
const MAP = 'conversation=a.id,role=b,text=c[].d,items=e[].f[]'

function everyForm(input: Buffer): void {
  const text = utf8(input)
  expectRefusal(() => parseTranscript(text, 'fuzzed'))
  for (const format of TRANSCRIPT_FORMATS) expectRefusal(() => parseTranscript(text, 'fuzzed', { format, allBranches: true }))
  expectRefusal(() => parseTranscript(text, 'fuzzed', { map: MAP, onProblem: () => undefined }))
}

const UPSTREAMS = ['http://127.0.0.1:8000', 'https://llm.example/api/v1', 'http://[::1]:9/deep/er/'].map(parseUpstream)

/** A request target goes to the upstream's own origin and below its base path, or is refused. */
function proxyTarget(input: Buffer): void {
  for (const upstream of UPSTREAMS) {
    expectRefusal(() => {
      const { origin, pathname, href } = targetOf(upstream, input.toString('latin1'))
      const base = upstream.pathname.replace(/\/(v1)?$/, '/')
      if (origin !== upstream.origin || !pathname.startsWith(base)) throw new Error(`a proxied request would have gone to ${href}`)
    })
  }
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
  'proxy-target': proxyTarget,
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
