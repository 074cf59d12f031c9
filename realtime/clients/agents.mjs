// What @openai/agents is asked to do, in Node and in a browser alike. The SDK's own session drives the protocol: it
// truncates by itself when it is interrupted, and calls the functions.

/** Runs one scenario; sdk is the module of the SDK, sound is PCM16 at 24 kHz. Returns what happened. */
export async function run(sdk, { url, key, model, name, sound }) {
  const { RealtimeAgent, RealtimeSession, OpenAIRealtimeWebSocket, tool } = sdk
  const out = { heard: '', answer: '', audio: 0, arguments: [], errors: [], kinds: [], status: '' }
  const meteo = tool({
    name: 'meteo', description: "Donne la météo d'une ville", strict: false,
    parameters: { type: 'object', properties: { ville: { type: 'string' } }, required: ['ville'], additionalProperties: true },
    execute: (args) => {
      out.arguments.push(args)
      // A model as small as the one of the tests calls for certain only when it must, and then again and again.
      session.transport.sendEvent({ type: 'session.update', session: { type: 'realtime', tool_choice: 'none' } })
      return 'pluie, 12 degrés'
    },
  })
  const agent = new RealtimeAgent({
    name: 'Brenda', instructions: 'Réponds en une phrase, en français.', tools: name === 'tool' ? [meteo] : [],
  })
  const turns = name === 'push_to_talk' ? null : { type: 'semantic_vad', interruptResponse: true }
  const session = new RealtimeSession(agent, {
    transport: new OpenAIRealtimeWebSocket({ url, useInsecureApiKey: !key.startsWith('ek_') }), model, tracingDisabled: true,
    config: { ...(name === 'tool' && { toolChoice: 'required' }), audio: { input: { transcription: { model: 'gpt-4o-mini-transcribe' }, turnDetection: turns } } },
  })
  const events = []
  let wake = () => {}
  const note = (kind, ev) => {
    if (out.kinds.at(-1) !== kind) out.kinds.push(kind)
    events.push({ ...ev, kind })
    wake()
  }
  session.on('error', (e) => { out.errors.push(JSON.stringify(e.error?.error ?? String(e.error))) })
  session.on('audio_interrupted', () => note('audio_interrupted'))
  session.on('agent_tool_end', () => note('agent_tool_end'))
  session.on('audio', (ev) => { out.audio += ev.data.byteLength; note('audio') })
  session.on('transport_event', (ev) => {
    if (ev.type === 'conversation.item.input_audio_transcription.completed') out.heard = ev.transcript
    if (ev.type === 'response.output_audio_transcript.delta') out.answer += ev.delta
    if (ev.type === 'response.done') out.status = ev.response.status
    if (ev.type === 'conversation.item.truncated') out.truncated = ev.audio_end_ms
    note(ev.type, ev)
  })
  const until = async (...kinds) => {
    for (;;) {
      while (events.length) {
        const ev = events.shift()
        if (kinds.includes(ev.kind)) return ev
      }
      await new Promise((done, fail) => {
        wake = done
        setTimeout(() => fail(new Error('too slow; got ' + out.kinds + ' ' + out.errors)), 120_000).unref?.()
      })
    }
  }
  const speak = () => {
    const start = performance.now()
    let n = -25 // half a second of silence first
    const timer = setInterval(() => {
      for (; (n + 25) * 20 < performance.now() - start; n++) {
        const step = new Uint8Array(960)
        if (n >= 0) step.set(sound.subarray(n * 960, (n + 1) * 960))
        session.sendAudio(step.buffer)
      }
    }, 10)
    return () => clearInterval(timer)
  }
  const scenarios = {
    async talk() {
      const hush = speak()
      await until('response.done')
      hush()
    },
    async interrupt() {
      session.sendMessage('Raconte une très longue histoire, avec beaucoup de phrases.')
      await until('audio')
      const hush = speak()
      await until('audio_interrupted')
      out.first = 'cancelled'
      out.audio = 0
      out.answer = ''
      await until('response.created')
      await until('response.done')
      hush()
    },
    async tool() {
      session.sendMessage('Appelle la fonction meteo pour la ville de Paris.')
      while (!out.answer) await until('response.done') // one with the call, then one about its result
    },
    async push_to_talk() {
      session.sendAudio(sound.slice().buffer, { commit: true })
      session.transport.sendEvent({ type: 'response.create' })
      await until('response.done')
    },
  }
  await session.connect({ apiKey: key })
  await until('session.updated')
  await scenarios[name]()
  session.close()
  return out
}
