#!/usr/bin/env node
// The `gabion` executable: starts the program. exit.ts owns the exit.

import { runToEnd } from './exit.js'
import { run } from './program.js'

await runToEnd(() => run(process.argv.slice(2)))
