// Owns the command `gabion detector`: its list of subcommands.

import { Command } from 'commander'
import { calibrateCommand } from './detector-calibrate.js'
import { evaluateCommand } from './detector-evaluate.js'
import { trainCommand } from './detector-train.js'

/** The command `detector` with its subcommands. */
export function detectorCommand(): Command {
  return new Command('detector')
    .summary('train, calibrate and measure erosion detectors')
    .description('The detector of `gabion monitor`: train it on labeled conversations, calibrate its thresholds, measure it.')
    .addCommand(trainCommand())
    .addCommand(calibrateCommand())
    .addCommand(evaluateCommand())
}
