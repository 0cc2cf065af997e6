// Owns the place of the monitor in a server that judges nothing: it has no detector for its model, or was started without one.

import { DetectorMisfit } from '../detection/misfit.js'
import { GabionError } from '../errors.js'
import type { Monitor } from '../monitor/monitor.js'

/** Why nothing is judged. */
export class NoDetector {
  readonly reason: string

  constructor(reason: string) {
    this.reason = reason
  }

  [Symbol.dispose](): void {
    // Nothing was loaded.
  }
}

/** @throws GabionError `NO_DETECTOR` with the reason */
export function requireMonitor(monitor: Monitor | NoDetector): Monitor {
  if (!(monitor instanceof NoDetector)) return monitor
  throw new GabionError('NO_DETECTOR', `this service judges no conversations: ${monitor.reason}`)
}

/**
 * A monitor as `load` gives it; where the detector does not fit the embedder's vectors, the reason.
 *
 * @throws GabionError what `load` throws for all other causes
 */
export async function monitorIfFitting(load: () => Promise<Monitor>): Promise<Monitor | NoDetector> {
  try {
    return await load()
  } catch (error) {
    const isMisfit = error instanceof DetectorMisfit || (error instanceof GabionError && error.code === 'PROJECTION_MISMATCH')
    if (!isMisfit) throw error
    return new NoDetector(error.message)
  }
}
