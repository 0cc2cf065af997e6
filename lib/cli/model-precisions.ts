// Owns the list of precisions as an option of model commands.

import { InvalidArgumentError } from 'commander'
import { GRAPH_PRECISIONS, type GraphPrecision } from '../models/index.js'

/** For the option's help. */
export const PRECISION_LIST = `comma-separated, of ${GRAPH_PRECISIONS.join(', ')}`

/** For commander: a comma-separated list of precisions. */
export function parsePrecisions(value: string): GraphPrecision[] {
  return value.split(',').map((part) => {
    const found = GRAPH_PRECISIONS.find((name) => name === part.trim())
    if (found === undefined) throw new InvalidArgumentError(`Expected a comma-separated list of ${GRAPH_PRECISIONS.join(', ')}.`)
    return found
  })
}
