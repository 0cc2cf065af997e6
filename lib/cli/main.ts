#!/usr/bin/env node
// The `gabion` executable: nothing but the start of the process. How it ends is exit.ts's.

import { runToEnd } from './exit.js'
import { run } from './program.js'

await runToEnd(() => run(process.argv.slice(2)))
