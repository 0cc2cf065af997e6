// One run of the native encoder as a promise that can be aborted. Settles exactly once.

import { GabionError } from '../errors.js'
import { fromNative, nativeAddon, type NativeModel, type NativeProjection, type NativeResult } from '../native.js'

/** The error of an aborted call; its cause is the signal's reason. */
export function abortedError(signal: AbortSignal): GabionError {
  return new GabionError('ABORTED', 'the call was aborted', { cause: signal.reason })
}

/**
 * Embeds texts on the encoder threads.
 *
 * An abort rejects at once; what has not started is dropped and what runs is stopped between two nodes of the graph.
 *
 * @throws GabionError what the addon says, or `ABORTED`; always as a rejection
 */
export function runNative(
  model: NativeModel,
  texts: readonly string[],
  projection: NativeProjection | null,
  signal: AbortSignal | undefined,
): Promise<NativeResult> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortedError(signal))
      return
    }
    const addon = nativeAddon()
    let run: number
    const onAbort = (): void => {
      addon.cancel(run)
      reject(abortedError(signal as AbortSignal))
    }
    try {
      run = addon.embed(model, texts, projection, (code, message, result) => {
        signal?.removeEventListener('abort', onAbort)
        if (result !== undefined) resolve(result)
        else reject(new GabionError(code ?? 'INTERNAL', message ?? 'the native run ended without a result'))
      })
    } catch (error) {
      reject(fromNative(error))
      return
    }
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
