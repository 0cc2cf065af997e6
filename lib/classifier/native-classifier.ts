// Opens classifiers in native code and runs requests on them. Knows neither folders nor what logits mean.

import { GabionError } from '../errors.js'
import {
  fromNative,
  nativeAddon,
  runRequest,
  type NativeClassifierOptions,
  type NativeModel,
  type NativeModelDescription,
  type NativeResult,
} from '../native.js'

/** An open classifier. */
export interface OpenedClassifier {
  model: NativeModel
  native: NativeModelDescription
}

/** @throws GabionError `MODEL_*`, `OUT_OF_MEMORY`, `RUNTIME_MISSING` */
export function openClassifier(options: NativeClassifierOptions): Promise<OpenedClassifier> {
  return new Promise((resolve, reject) => {
    try {
      nativeAddon().openClassifier(options, (code, message, model, native) => {
        if (model !== undefined && native !== undefined) resolve({ model, native })
        else reject(new GabionError(code ?? 'INTERNAL', message ?? 'the classifier did not open'))
      })
    } catch (error) {
      reject(fromNative(error))
    }
  })
}

/** One input: the strings of each of its segments. */
export type SegmentTexts = readonly (readonly string[])[]

/** Inputs per native call. */
const PART_SIZE = 128

/**
 * Classifies inputs, as many as {@link PART_SIZE} per request; see {@link runRequest}.
 *
 * @param inputs each with as many segments as the others
 */
export async function runClassifier(
  model: NativeModel,
  inputs: readonly SegmentTexts[],
  signal: AbortSignal | undefined,
): Promise<NativeResult[]> {
  const results: NativeResult[] = []
  for (let at = 0; at < inputs.length; at += PART_SIZE) {
    const part = inputs.slice(at, at + PART_SIZE)
    const counts = Float64Array.from(part.flatMap((segments) => segments.map((texts) => texts.length)))
    const start: Parameters<typeof runRequest>[0] = (addon, done) => addon.classify(model, part.flat(2), counts, part[0]?.length ?? 1, done)
    results.push(await runRequest(start, signal))
  }
  return results
}
