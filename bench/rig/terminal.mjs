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

/** The machine in words, a line a subject. */
export function machineLines(machine) {
  const processors = `${machine.processorsAllowed} of ${machine.logicalProcessors} logical processors${machine.virtual ? ', virtual machine' : ''}`
  const rivals = Object.entries(machine.rivals).map(([name, version]) => `${name} ${version}`)
  return [
    `${machine.cpu}, ${processors}, ${machine.memoryGiB} GiB`,
    `${machine.os}, Node ${machine.node}`,
    `gabion ${machine.gabion}${machine.commit === null ? '' : ` (${machine.commit})`} beside ${rivals.join(', ')}`,
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
  for (const mark of result.marks) print(`${mark.met ? 'met   ' : 'MISSED'} ${markLine(mark)}`)
  print(
    `${result.seconds.toFixed(0)} s; others kept ${result.otherProcesses.toFixed(2)} processors busy${result.quick ? '; quick: no numbers to keep' : ''}`,
  )
}

/** A mark in words. */
export function markLine({ what, value, limit, unit, least = false }) {
  const digits = { '×': 3, '': 6 }[unit] ?? 1
  return `${what}: ${value.toFixed(digits)} ${unit}, wanted ${least ? '≥' : '≤'} ${limit} ${unit}`.replaceAll(' ,', ',').trimEnd()
}
