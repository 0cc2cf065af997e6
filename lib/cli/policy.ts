// Owns `gabion policy`: checks and builds a deployment's own policies. The implementation is in lib/detection/policy.

import { Command } from 'commander'
import type { Embedder } from '../embedding/embedder.js'
import { examinePolicies, overlaps, tryOnLog } from '../detection/policy/policy-check.js'
import { preparePolicies, type PreparedPolicies } from '../detection/policy/load-policies.js'
import { formatPolicySet } from '../detection/policy/policy-artifact.js'
import { readLog } from '../detection/policy/policy-log.js'
import { loadLexicons } from '../detection/erosion/lexicon-file.js'
import { addEmbedderOptions, finishCommand, openEmbedder, type Context, type EmbedderFlags } from './command.js'
import { logTable, overlapLines, policyTable } from './policy-tables.js'
import { writeWhole } from '../files/pending-file.js'
import { ProgressSteps } from './progress.js'
import { collect, count } from './wording.js'

interface PolicyFlags extends EmbedderFlags {
  benign?: string
  cache?: string
  lexicon?: string[]
}

interface BuildFlags extends PolicyFlags {
  out: string
}

/** The command `policy` with its subcommands. */
export function policyCommand(): Command {
  return new Command('policy')
    .summary("check and build a deployment's own policies")
    .description("Your own rules for the assistant's replies, in one file: statements with examples, on which each policy is fitted.")
    .addCommand(checkCommand())
    .addCommand(buildCommand())
}

const addPolicyOptions = (command: Command): Command =>
  command
    .option('--benign <file>', 'ordinary conversations for calibration (default: those of the policy file)')
    .option('--lexicon <language|file>', 'refusal phrases, "en", "de", "fr" or a file; repeatable (default: "en")', collect)
    .option('--cache <folder>', 'cache vectors here, so that a second run embeds nothing')

function checkCommand(): Command {
  const command = new Command('check')
    .summary('report what each policy would catch, miss and wrongly catch')
    .description(
      'Leave-one-out over the examples; also finds policies that overlap or have too few examples. In logs it counts correct and wrong catches per policy: conversations as JSON lines, whose field "breaks" may list the policies that they violate.',
    )
    .argument('<file>', 'a policy file (YAML)')
    .argument('[log...]', 'conversations to try the policies on')
  return finishCommand<PolicyFlags>(
    addEmbedderOptions(addPolicyOptions(command)),
    ['gabion policy check policies.yaml', 'gabion policy check policies.yaml --benign may.jsonl june.jsonl --json'],
    check,
  )
}

function buildCommand(): Command {
  const command = new Command('build')
    .summary('build policies, so that "monitor --policy" starts at once')
    .description(
      'Embeds the examples, fits the policies and calibrates their thresholds; the file contains vectors, and the first words of examples.',
    )
    .argument('<file>', 'a policy file (YAML)')
    .requiredOption('-o, --out <file>', 'output file of the built policies (JSON)')
  return finishCommand<BuildFlags>(
    addEmbedderOptions(addPolicyOptions(command)),
    ['gabion policy build policies.yaml --out policies.json', 'gabion monitor --policy policies.json chat.json'],
    build,
  )
}

async function check(context: Context, flags: PolicyFlags, [file = '', ...logs]: string[]): Promise<undefined> {
  const { output } = context
  await withPolicies(context, flags, file, async ({ materials, set, ordinary, reading }, { dimensions }, steps) => {
    const examined = examinePolicies(materials, set, ordinary, dimensions, (done) => {
      steps.report({ doing: 'leaving examples out', done, total: materials.length })
    })
    const common = overlaps(materials, set)
    steps.stop()
    if (output.json) {
      for (const policy of examined) await output.jsonLine({ policy })
      for (const overlap of common) await output.jsonLine({ overlap })
      await output.jsonLine({ role: set.role === null ? null : { threshold: set.role.threshold, alert: set.role.alert } })
    } else {
      await output.line(`${policyTable(examined)}\n`)
      for (const line of overlapLines(common, examined)) await output.line(line)
      await output.line(
        set.role === null
          ? 'Role drift is off: too few of the ordinary conversations are long enough for the budget.'
          : `Role drift from distance ${set.role.threshold.value.toFixed(2)}, measured from ${set.role.prompt === null ? 'the first exchanges' : 'the system prompt and the first exchanges'}; ${set.role.threshold.reached} of ${count(set.role.threshold.conversations, 'ordinary conversation')} reach it.`,
      )
    }
    for (const log of logs) {
      const conversations = await readLog(log, reading)
      steps.stop()
      const outcomes = tryOnLog(set, conversations)
      if (output.json) for (const outcome of outcomes) await output.jsonLine({ log, outcome })
      else await output.line(`\n${logTable(log, conversations.length, outcomes)}`)
    }
  })
}

async function build(context: Context, flags: BuildFlags, [file = '']: string[]): Promise<undefined> {
  const { output } = context
  await withPolicies(context, flags, file, async ({ set, ordinary }, _, steps) => {
    await writeWhole(flags.out, formatPolicySet(set))
    steps.stop()
    const policies = set.policies.map(({ name }) => name)
    if (output.json) await output.jsonLine({ file: flags.out, policies, conversations: ordinary.length })
    else
      await output.line(
        `${flags.out}: ${count(policies.length, 'policy').replace('policys', 'policies')}, thresholds from ${count(ordinary.length, 'ordinary conversation')}`,
      )
  })
}

/** Prepares the policies of a file, runs `work` with them, and ends the progress display. */
async function withPolicies(
  { output, signal }: Context,
  flags: PolicyFlags,
  file: string,
  work: (prepared: PreparedPolicies, embedder: Embedder, steps: ProgressSteps) => Promise<void>,
): Promise<void> {
  const { benign, cache, lexicon } = flags
  using steps = new ProgressSteps(output)
  using embedder = await openEmbedder(flags, { cache: false })
  const refusals = await loadLexicons(lexicon)
  const prepared = await preparePolicies(embedder, file, {
    signal,
    onProgress: steps.report,
    ...(benign !== undefined && { benign }),
    ...(cache !== undefined && { cache }),
    ...(refusals !== null && { refusals }),
  })
  await work(prepared, embedder, steps)
}
