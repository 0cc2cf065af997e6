// Owns `gabion doctor`: every check on one line, with advice for problems.

import { Command } from 'commander'
import { addEmbedderOptions, finishCommand, type Context, type EmbedderFlags } from './command.js'
import { checkEngine } from './engine-checks.js'
import { checkHost, type Check } from './host-checks.js'
import type { Output } from './output.js'
import { wrap } from './wording.js'

/** The command `doctor`. */
export function doctorCommand(): Command {
  const command = new Command('doctor')
    .summary('check the installation, with advice for problems')
    .description(
      'Checks platform, C library, processor, threads, addon, runtime, provider and model, and embeds one text. Exit code 1 if a check fails.',
    )
  return finishCommand<EmbedderFlags>(
    addEmbedderOptions(command),
    ['gabion doctor', 'gabion doctor --provider cuda', 'gabion doctor --json'],
    run,
  )
}

async function run({ output }: Context, flags: EmbedderFlags): Promise<number> {
  const failures = { count: 0 }
  const report = async (found: Check): Promise<void> => {
    if (found.status === 'fail') failures.count++
    if (output.json) await output.jsonLine(found)
    else await output.line(linesOf(found, output))
  }
  for (const found of checkHost()) await report(found)
  for (const found of await checkEngine(flags)) await report(found)
  return failures.count > 0 ? 1 : 0
}

/** Columns before a check's detail. */
const INDENT = 18

function linesOf({ name, status, detail, advice }: Check, { colors, columns, interactive }: Output): string {
  const paint = { ok: colors.green, warn: colors.yellow, fail: colors.red }[status]
  const width = interactive ? columns - INDENT : Number.POSITIVE_INFINITY
  const below = `\n${' '.repeat(INDENT)}`
  const first = `${paint(status.padEnd(4))}  ${name.padEnd(10)}  ${wrap(detail, width).join(below)}`
  return advice === null ? first : `${first}${below}${colors.bold('→')} ${wrap(advice, width - 2).join(`${below}  `)}`
}
