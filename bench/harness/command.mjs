// One bench as a command: reads its options, measures, prints or saves the result.

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { processorSeconds } from './machine.mjs'
import { printResult } from './terminal.mjs'

/**
 * @typedef {{ title: string, head: string[], rows: string[][] }} Table the first column is text, the others numbers
 * @typedef {{ what: string, limit: number, value: number, unit: string, met: boolean, atLeast?: boolean }} Target `atLeast`: the limit is a minimum
 * @typedef {{ tables: Table[], notes: string[], targets: Target[], measurements: unknown }} Measured
 * @typedef {{ quick: boolean, say: (line: string) => void }} Options
 *
 * @param {string} title
 * @param {string} question the question in the head of the bench's file
 * @param {(options: Options) => Promise<Measured>} measure
 */
export async function runBench(title, question, measure) {
  // ONNX Runtime's official builds may write to the home and open connections otherwise.
  process.env.ORT_DISABLE_TELEMETRY = '1'
  const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, json: { type: 'string' } } })
  const say = (line) => process.stderr.write(`  ${line}\n`)
  const started = performance.now()
  const before = processorSeconds()
  const measured = await measure({ quick: values.quick, say })
  const after = processorSeconds()
  const seconds = (performance.now() - started) / 1000
  // Mean number of processors kept busy by other processes: above a few hundredths, the machine was not idle.
  const otherProcesses = Math.max(0, (after.all - before.all - (after.own - before.own)) / seconds)
  const result = { title, question, quick: values.quick, seconds, otherProcesses, ...measured }
  if (values.json === undefined) printResult(result)
  else {
    mkdirSync(dirname(values.json), { recursive: true })
    writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`)
  }
  process.exit(0)
}
