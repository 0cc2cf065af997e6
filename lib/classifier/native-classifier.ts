// Opens classifiers in native code and runs requests on them. Knows neither folders nor what logits mean.

import { onAbort } from '../abort.js'
import { GabionError } from '../errors.js'
import {
  fromNative,
  nativeAddon,
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

/**
 * One request to the encoder threads. An abort rejects at once; queued inputs are dropped and running ones are stopped between two layers.
 *
 * @param inputs at least one, each with as many segments as the others
 * @throws GabionError what the addon reports, or `ABORTED`; always as a rejection
 */
export function runClassifier(model: NativeModel, inputs: readonly SegmentTexts[], signal: AbortSignal | undefined): Promise<NativeResult> {
  return new Promise((resolve, reject) => {
    const aborted = (from: AbortSignal): GabionError => new GabionError('ABORTED', 'the call was aborted', { cause: from.reason })
    if (signal?.aborted === true) {
      reject(aborted(signal))
      return
    }
    const addon = nativeAddon()
    const counts = Float64Array.from(inputs.flatMap((segments) => segments.map((texts) => texts.length)))
    let id: number
    try {
      id = addon.classify(model, inputs.flat(2), counts, inputs[0]?.length ?? 1, (code, message, result) => {
        endWait?.()
        if (result !== undefined) resolve(result)
        else reject(new GabionError(code ?? 'INTERNAL', message ?? 'the native request ended without a result'))
      })
    } catch (error) {
      reject(fromNative(error))
      return
    }
    const endWait =
      signal &&
      onAbort(signal, () => {
        addon.cancel(id)
        reject(aborted(signal))
      })
  })
}
