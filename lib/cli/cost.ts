// Owns `gabion cost`: monthly cost of embeddings in a cloud and on own machines, with all assumptions printed.

import Table from 'cli-table3'
import { Command, InvalidArgumentError } from 'commander'
import { estimateCost, type CostAssumptions } from '../migration/cost.js'
import { finishCommand, parseCount, type CommonOptions, type Context } from './command.js'

interface CostFlags extends CommonOptions {
  textsPerDay: number
  tokensPerText: number
  pricePerMillion: number
  machinePrice: number
  textsPerSecond: number
  peak: number
  days: number
  currency: string
}

/** The command `cost`. */
export function costCommand(): Command {
  const command = new Command('cost')
    .summary('monthly cost, local and in the cloud')
    .description(
      'Compares the monthly cost of embeddings from a cloud with that of your own machines, and computes the break-even in texts per day. You supply the prices.',
    )
    .requiredOption('--texts-per-day <n>', 'texts embedded per day', parsePrice)
    .requiredOption('--price-per-million <price>', "the cloud's price per million tokens", parsePrice)
    .requiredOption('--machine-price <price>', 'price of a machine per month', parsePrice)
    .option('--tokens-per-text <n>', 'average tokens per text', parsePrice, 60)
    .option('--texts-per-second <n>', 'texts per second of a machine ("gabion bench" measures it)', parsePrice, 100)
    .option('--peak <factor>', 'peak load as a multiple of the mean', parsePrice, 10)
    .option('--days <n>', 'days per month', parseCount, 30)
    .option('--currency <name>', 'shown next to amounts', 'USD')
  return finishCommand<CostFlags>(
    command,
    [
      'gabion cost --texts-per-day 200000 --price-per-million 0.10 --machine-price 60',
      'gabion cost --texts-per-day 5e6 --tokens-per-text 120 --price-per-million 0.02 --machine-price 60 --texts-per-second 150',
    ],
    run,
  )
}

function parsePrice(value: string): number {
  const number = Number(value)
  if (value.trim() === '' || !Number.isFinite(number) || number < 0) throw new InvalidArgumentError('Expected a number of 0 or more.')
  return number
}

async function run({ output }: Context, flags: CostFlags): Promise<undefined> {
  const assumptions: CostAssumptions = {
    textsPerDay: flags.textsPerDay,
    tokensPerText: flags.tokensPerText,
    pricePerMillionTokens: flags.pricePerMillion,
    machinePerMonth: flags.machinePrice,
    textsPerSecond: flags.textsPerSecond,
    peakFactor: flags.peak,
    daysPerMonth: flags.days,
  }
  const estimate = estimateCost(assumptions)
  if (output.json) {
    await output.jsonLine({ ...estimate, currency: flags.currency })
    return
  }
  const amount = (value: number): string =>
    `${value.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })} ${flags.currency}`
  const whole = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 0 })
  const table = new Table({
    head: ['per month', 'cloud', 'local'],
    colAligns: ['left', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })
  const machines = estimate.machines === 1 ? '1 machine' : `${whole(estimate.machines)} machines`
  table.push(
    ['texts', whole(estimate.textsPerMonth), whole(estimate.textsPerMonth)],
    ['billed by', `${whole(estimate.tokensPerMonth)} tokens`, machines],
    ['cost', amount(estimate.cloudPerMonth), amount(estimate.localPerMonth)],
  )
  await output.line(table.toString())
  const saving = estimate.savingPerMonth
  await output.line(
    saving >= 0 ? `Local is cheaper by ${amount(saving)} per month.` : `The cloud is cheaper by ${amount(-saving)} per month.`,
  )
  await output.line(
    estimate.breakEvenTextsPerDay === null
      ? 'Break-even: none; at these prices the cloud is cheaper at any volume that one machine can serve.'
      : `Break-even: from ${whole(estimate.breakEvenTextsPerDay)} texts per day on, one machine is cheaper.`,
  )
  await output.line()
  await output.line('Assumptions:')
  for (const [what, value] of [
    ['texts per day', whole(flags.textsPerDay)],
    ['tokens per text', String(flags.tokensPerText)],
    ['price per million tokens', amount(flags.pricePerMillion)],
    ['price of a machine per month', amount(flags.machinePrice)],
    ['texts per second of a machine', String(flags.textsPerSecond)],
    ['peak load as a multiple of the mean', String(flags.peak)],
    ['days per month', String(flags.days)],
  ] as const)
    await output.line(`  ${what}: ${value}`)
  await output.line('Not included: operation of the machines, traffic, discounts, storage of vectors.')
}
