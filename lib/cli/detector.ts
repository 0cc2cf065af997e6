// Owns the command `gabion detector`: which subcommands there are.

import { Command } from 'commander'
import { calibrateCommand } from './detector-calibrate.js'
import { evaluateCommand } from './detector-evaluate.js'
import { trainCommand } from './detector-train.js'

/** The command `detector` with its subcommands. */
export function detectorCommand(): Command {
  return new Command('detector')
    .summary('train, calibrate and measure erosion detectors')
    .description('The detector that `gabion monitor` judges with: make it from labeled conversations, set its thresholds, measure it.')
    .addCommand(trainCommand())
    .addCommand(calibrateCommand())
    .addCommand(evaluateCommand())
}
