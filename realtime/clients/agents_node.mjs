// Stock @openai/agents in Node: node agents_node.mjs SCENARIO. Environment and output as in openai_node.mjs.
import fs from 'node:fs'
import * as sdk from '@openai/agents/realtime'
import { run } from './agents.mjs'

const { version } = JSON.parse(fs.readFileSync(new URL('./node_modules/@openai/agents/package.json', import.meta.url)))
const out = await run(sdk, {
  url: process.env.BASE.replace(/^http/, 'ws') + '/v1/realtime?model=gpt-realtime', key: process.env.KEY,
  model: 'gpt-realtime', name: process.argv[2], sound: new Uint8Array(fs.readFileSync(process.env.SPEECH)),
})
console.log(JSON.stringify({ ...out, version }))
process.exit(0)
