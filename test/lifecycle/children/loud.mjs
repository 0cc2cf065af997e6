// The control of the test for silence: writes a file under the home and tries to reach a port where nobody listens.
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'

writeFileSync(join(homedir(), 'left-behind'), '')
connect(9, '127.0.0.1').on('error', () => console.log('done'))
