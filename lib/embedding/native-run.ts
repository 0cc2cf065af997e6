// One run of the native encoder as a promise that can be aborted. Settles exactly once.

import { onAbort } from '../abort.js'
import { GabionError, type GabionErrorCode } from '../errors.js'
import {
  fromNative,
  nativeAddon,
  type NativeAddon,
  type NativeModel,
  type NativeProjection,
  type NativeResult,
  type NativeWindowsResult,
} from '../native.js'

/** The error of an aborted call; its cause is the signal's reason. */
export function abortedError(signal: AbortSignal): GabionError {
  return new GabionError('ABORTED', 'the call was aborted', { cause: signal.reason })
}

/** Waits for what others do; rejects with {@link abortedError} when the signal fires first. */
export async function unlessAborted(other: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) {
    await other
    return
  }
  let endWait: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    endWait = onAbort(signal, () => reject(abortedError(signal)))
  })
  try {
    await Promise.race([other, aborted])
  } finally {
    endWait?.()
  }
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
  return settle(signal, (addon, done) => addon.embed(model, texts, projection, done))
}

/**
 * Embeds every window of texts on the encoder threads; see {@link runNative}.
 *
 * @param size - most tokens of a window, special tokens not counted
 * @param stride - tokens from the start of a window to that of the next
 */
export function runNativeWindows(
  model: NativeModel,
  texts: readonly string[],
  projection: NativeProjection | null,
  { size, stride }: { size: number; stride: number },
  signal: AbortSignal | undefined,
): Promise<NativeWindowsResult> {
  return settle(signal, (addon, done) => addon.embedWindows(model, texts, projection, size, stride, done))
}

type Done<Result> = (code: GabionErrorCode | null, message: string | null, result?: Result) => void

function settle<Result>(signal: AbortSignal | undefined, start: (addon: NativeAddon, done: Done<Result>) => number): Promise<Result> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortedError(signal))
      return
    }
    const addon = nativeAddon()
    let run: number
    try {
      run = start(addon, (code, message, result) => {
        endWait?.()
        if (result !== undefined) resolve(result)
        else reject(new GabionError(code ?? 'INTERNAL', message ?? 'the native run ended without a result'))
      })
    } catch (error) {
      reject(fromNative(error))
      return
    }
    const endWait =
      signal &&
      onAbort(signal, () => {
        addon.cancel(run)
        reject(abortedError(signal))
      })
  })
}
