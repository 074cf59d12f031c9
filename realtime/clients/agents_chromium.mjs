// Stock @openai/agents in Debian's Chromium: node agents_chromium.mjs SCENARIO. The page stands on an origin of its own,
// and has an ephemeral key, as a web application would. Environment and output as in openai_node.mjs; CHROMIUM is the browser.
import fs from 'node:fs'
import http from 'node:http'
import { chromium } from 'playwright-core'

const dir = new URL('./', import.meta.url)
const bundle = new URL('./node_modules/@openai/agents-realtime/dist/bundle/', dir)
const { version } = JSON.parse(fs.readFileSync(new URL('./node_modules/@openai/agents/package.json', dir)))
const files = http.createServer((req, res) => {
  const name = req.url.slice(1)
  const from = name === 'agents.mjs' ? new URL(name, dir) : new URL(name, bundle)
  if (name === '' || !fs.existsSync(from)) {
    res.writeHead(name === '' ? 200 : 404, { 'Content-Type': 'text/html' }).end('<!doctype html><title>test</title>')
    return
  }
  res.writeHead(200, { 'Content-Type': 'text/javascript' }).end(fs.readFileSync(from))
})
await new Promise((done) => files.listen(0, '127.0.0.1', done))

const minted = await fetch(process.env.BASE + '/v1/realtime/client_secrets', {
  method: 'POST', headers: { Authorization: 'Bearer ' + process.env.KEY, 'Content-Type': 'application/json' },
  body: JSON.stringify({ session: { type: 'realtime', model: 'gpt-realtime' } }),
})
if (!minted.ok) throw new Error(`client_secrets: ${minted.status} ${await minted.text()}`)
const key = (await minted.json()).value

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM, headless: false,
  args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
})
try {
  const page = await browser.newPage()
  page.on('pageerror', (err) => console.error(err))
  await page.goto(`http://127.0.0.1:${files.address().port}/`)
  const out = await page.evaluate(async (given) => {
    const sdk = await import('/openai-realtime-agents.mjs')
    const { run } = await import('/agents.mjs')
    return run(sdk, { ...given, sound: Uint8Array.from(atob(given.sound), (c) => c.charCodeAt(0)) })
  }, {
    url: process.env.BASE.replace(/^http/, 'ws') + '/v1/realtime?model=gpt-realtime', key, model: 'gpt-realtime',
    name: process.argv[2], sound: fs.readFileSync(process.env.SPEECH).toString('base64'),
  })
  console.log(JSON.stringify({ ...out, version, browser: browser.version() }))
} finally {
  await browser.close()
  files.close()
}
