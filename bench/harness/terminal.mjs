// Shows results in the terminal.

import Table from 'cli-table3'

const plain = { style: { head: [], border: [], compact: true } }

/** @param {string} line */
export function print(line = '') {
  process.stdout.write(`${line}\n`)
}

/** @param {object} machine as `describeMachine` gives it */
export function printMachine(machine) {
  for (const line of machineLines(machine)) print(line)
}

/** The machine in words, one line per subject. */
export function machineLines(machine) {
  const processors = `${machine.processorsAllowed} of ${machine.logicalProcessors} logical processors${machine.virtual ? ', virtual machine' : ''}`
  const baselines = Object.entries(machine.baselines).map(([name, version]) => `${name} ${version}`)
  return [
    `${machine.cpu}, ${processors}, ${machine.memoryGiB} GiB`,
    `${machine.os}, Node ${machine.node}`,
    `gabion ${machine.gabion}${machine.commit === null ? '' : ` (${machine.commit})`} and ${baselines.join(', ')}`,
    machine.date.slice(0, 16).replace('T', ' ') + ' UTC',
  ]
}

/** @param {object} result as `runBench` makes it */
export function printResult(result) {
  print(`\n${result.title}: ${result.question}`)
  for (const { title, head, rows } of result.tables) {
    const table = new Table({ head, colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')), ...plain })
    table.push(...rows)
    print(`\n${title}\n${table.toString()}`)
  }
  print()
  for (const note of result.notes) print(`- ${note}`)
  for (const target of result.targets) print(`${target.met ? 'met   ' : 'MISSED'} ${targetLine(target)}`)
  print(
    `${result.seconds.toFixed(0)} s; others kept ${result.otherProcesses.toFixed(2)} processors busy${result.quick ? '; quick: numbers are meaningless' : ''}`,
  )
}

/** A target in words. */
export function targetLine({ what, value, limit, unit, atLeast = false }) {
  const digits = { '×': 3, '': 6 }[unit] ?? 1
  return `${what}: ${value.toFixed(digits)} ${unit}, target ${atLeast ? '≥' : '≤'} ${limit} ${unit}`.replaceAll(' ,', ',').trimEnd()
}
