#!/usr/bin/env node
// The `gabion` executable: nothing but the start and the end of the process.

import { reportFailure } from './failure.js'
import { endQuietlyWhenReaderLeaves } from './output.js'
import { run } from './program.js'

endQuietlyWhenReaderLeaves()
process.on('uncaughtException', (error) => process.exit(reportFailure(error)))
process.on('unhandledRejection', (reason) => process.exit(reportFailure(reason)))
process.exit(await run(process.argv.slice(2)))
