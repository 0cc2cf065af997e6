// Owns what a month of embeddings costs in a cloud and here. Knows no currency: prices go in and come out in the same one.

import { checkInteger, checkNumber, invalidArgument } from '../options.js'

/** What is assumed. */
export interface CostAssumptions {
  textsPerDay: number
  tokensPerText: number
  /** Cloud: price of a million tokens. */
  pricePerMillionTokens: number
  /** Here: price of one machine a month. */
  machinePerMonth: number
  /** Texts that one machine embeds a second. */
  textsPerSecond: number
  /** Highest share of the day's mean load that comes in its busiest second: machines are counted for that. */
  peakFactor: number
  daysPerMonth: number
}

/** What comes of it. */
export interface CostEstimate {
  readonly assumptions: Readonly<CostAssumptions>
  readonly textsPerMonth: number
  readonly tokensPerMonth: number
  readonly cloudPerMonth: number
  /** Machines that the busiest second needs. */
  readonly machines: number
  readonly localPerMonth: number
  /** Cloud less local: what staying costs. */
  readonly savingPerMonth: number
  /** Texts a day from which on one machine is cheaper than the cloud; null where that is never so. */
  readonly breakEvenTextsPerDay: number | null
}

/**
 * Estimates the monthly cost.
 *
 * @throws GabionError `INVALID_ARGUMENT` for a number that is not positive
 */
export function estimateCost(assumptions: CostAssumptions): CostEstimate {
  for (const [name, value] of Object.entries(assumptions) as [string, number][]) {
    if (!(checkNumber(name, value) >= 0)) throw invalidArgument(name, '0 or more', value)
    if (value === 0 && name !== 'pricePerMillionTokens' && name !== 'machinePerMonth' && name !== 'textsPerDay')
      throw invalidArgument(name, 'more than 0', value)
  }
  const { textsPerDay, tokensPerText, pricePerMillionTokens, machinePerMonth, textsPerSecond, peakFactor } = assumptions
  const daysPerMonth = checkInteger('daysPerMonth', assumptions.daysPerMonth, 1)
  const secondsPerDay = 86_400
  const textsPerMonth = textsPerDay * daysPerMonth
  const tokensPerMonth = textsPerMonth * tokensPerText
  const cloudPerMonth = (tokensPerMonth / 1e6) * pricePerMillionTokens
  const machinesFor = (texts: number): number => Math.max(1, Math.ceil((texts * peakFactor) / secondsPerDay / textsPerSecond))
  const machines = machinesFor(textsPerDay)
  const localPerMonth = machines * machinePerMonth
  const perTextPerDay = ((daysPerMonth * tokensPerText) / 1e6) * pricePerMillionTokens
  const breakEven = perTextPerDay === 0 ? Infinity : Math.ceil(machinePerMonth / perTextPerDay)
  return {
    assumptions: { ...assumptions },
    textsPerMonth,
    tokensPerMonth,
    cloudPerMonth,
    machines,
    localPerMonth,
    savingPerMonth: cloudPerMonth - localPerMonth,
    // Where one machine cannot do as much, each further one does no better than the first.
    breakEvenTextsPerDay: Number.isFinite(breakEven) && machinesFor(breakEven) === 1 ? breakEven : null,
  }
}
