// Stock openai-node over its `ws` transport, which always speaks TLS: node openai_node.mjs SCENARIO
//
// The environment has BASE (https://127.0.0.1:8443), KEY, SPEECH (PCM16, 24 kHz, mono) and NODE_EXTRA_CA_CERTS. The last
// line printed is a JSON object of what happened; the caller judges it.
import fs from 'node:fs'
import OpenAI from 'openai'
import { OpenAIRealtimeWS } from 'openai/realtime/ws'
import { VERSION } from 'openai/version'

const STEP = 960 // bytes of 20 ms
const sound = fs.readFileSync(process.env.SPEECH)
const out = { heard: '', answer: '', audio: 0, arguments: [], errors: [], kinds: [], version: VERSION }
const wait = (ms) => new Promise((done) => setTimeout(done, ms))

const client = new OpenAI({ baseURL: process.env.BASE + '/v1', apiKey: process.env.KEY })
const rt = new OpenAIRealtimeWS({ model: 'gpt-realtime' }, client)

const events = []
let wake = () => {}
rt.on('event', (ev) => {
  if (out.kinds.at(-1) !== ev.type) out.kinds.push(ev.type)
  if (ev.type === 'error') out.errors.push(ev.error.message)
  if (ev.type === 'conversation.item.input_audio_transcription.completed') out.heard = ev.transcript
  if (ev.type === 'response.output_audio.delta') out.audio += Buffer.from(ev.delta, 'base64').length
  if (ev.type === 'response.output_audio_transcript.delta') out.answer += ev.delta
  if (ev.type === 'response.done') out.status = ev.response.status
  events.push(ev)
  wake()
})
rt.on('error', (err) => { if (!err.error) fail(err) })
rt.socket.on('error', fail)

function fail(err) {
  console.error(err)
  process.exit(1)
}

/** Resolves with the next event of one of the kinds. */
async function until(...kinds) {
  for (;;) {
    while (events.length) {
      const ev = events.shift()
      if (kinds.includes(ev.type)) return ev
    }
    await new Promise((done) => { wake = done })
  }
}

/** Sends sound as it would be spoken, then silence; returns what ends it. */
function speak(pcm) {
  const start = Date.now()
  let n = 0
  const all = Buffer.concat([Buffer.alloc(24000), pcm])
  const timer = setInterval(() => {
    for (; n * 20 < Date.now() - start; n++) {
      const step = Buffer.concat([all.subarray(n * STEP, (n + 1) * STEP), Buffer.alloc(STEP)], STEP)
      rt.send({ type: 'input_audio_buffer.append', audio: step.toString('base64') })
    }
  }, 10)
  return () => clearInterval(timer)
}

function ask(text) {
  rt.send({ type: 'conversation.item.create',
    item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }] } })
  rt.send({ type: 'response.create' })
}

const weather = { type: 'function', name: 'meteo', description: "Donne la météo d'une ville",
  parameters: { type: 'object', properties: { ville: { type: 'string' } }, required: ['ville'] } }

const scenarios = {
  async talk() {
    const hush = speak(sound)
    await until('response.done')
    hush()
  },
  async interrupt() {
    ask('Raconte une très longue histoire, avec beaucoup de phrases.')
    await until('response.output_audio.delta')
    const hush = speak(sound)
    out.first = (await until('response.done')).response.status
    out.audio = 0
    out.answer = ''
    await until('response.done')
    hush()
  },
  async truncate() {
    ask('Récite les jours de la semaine.')
    const item = (await until('response.done')).response.output[0].id
    rt.send({ type: 'conversation.item.truncate', item_id: item, content_index: 0, audio_end_ms: 300 })
    out.truncated = (await until('conversation.item.truncated')).audio_end_ms
    rt.send({ type: 'conversation.item.retrieve', item_id: item })
    out.kept = (await until('conversation.item.retrieved')).item.content[0].transcript
  },
  async tool() {
    ask('Quel temps fait-il à Paris ? Demande la météo.')
    const calls = (await until('response.done')).response.output.filter((o) => o.type === 'function_call')
    for (const c of calls) {
      out.arguments.push(JSON.parse(c.arguments))
      rt.send({ type: 'conversation.item.create',
        item: { type: 'function_call_output', call_id: c.call_id, output: '{"ciel":"pluie","degres":12}' } })
    }
    rt.send({ type: 'response.create', response: { tool_choice: 'none' } })
    await until('response.done')
  },
  async push_to_talk() {
    rt.send({ type: 'input_audio_buffer.append', audio: sound.toString('base64') })
    rt.send({ type: 'input_audio_buffer.commit' })
    rt.send({ type: 'response.create' })
    await until('response.done')
  },
}

setTimeout(() => fail(new Error('too slow; got ' + out.kinds)), 180_000).unref()
const name = process.argv[2]
await until('session.created')
const turns = name === 'push_to_talk' ? null : { type: 'server_vad' }
rt.send({ type: 'session.update', session: { type: 'realtime',
  audio: { input: { transcription: { model: 'whisper-1' }, turn_detection: turns }, output: { voice: 'cedar' } },
  ...(name === 'tool' && { tools: [weather], tool_choice: 'required' }) } })
await until('session.updated')
await scenarios[name]()
rt.close()
console.log(JSON.stringify(out))
