// Many waits on one AbortSignal: the signal has one listener of ours, whatever waits on it. Knows no room.
//
// Node warns of a leak at the eleventh listener of a signal, and a caller's hundred calls under one signal are none. How
// many listeners a signal may have is for its owner to say, so nothing is set on it.

const waitsOf = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls `listener` when the signal fires, once, in the order of the calls of this function; at once when it has fired.
 *
 * @param listener - must not throw
 * @returns ends the wait; without effect after the signal fired
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) {
    listener()
    return () => undefined
  }
  const known = waitsOf.get(signal)
  const waits = known ?? new Set()
  if (known === undefined) {
    waitsOf.set(signal, waits)
    signal.addEventListener('abort', fire, { once: true })
  }
  // The same function may wait twice.
  const wait = (): void => listener()
  waits.add(wait)
  return () => {
    if (!waits.delete(wait) || waits.size > 0 || waitsOf.get(signal) !== waits) return
    waitsOf.delete(signal)
    signal.removeEventListener('abort', fire)
  }
}

function fire(this: AbortSignal): void {
  const waits = waitsOf.get(this)
  waitsOf.delete(this)
  for (const wait of waits ?? []) wait()
}
