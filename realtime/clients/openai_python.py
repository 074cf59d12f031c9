"""Stock openai-python against a server: python openai_python.py SCENARIO [beta]

The environment has BASE (http://127.0.0.1:8080), KEY and SPEECH, a file of recorded French (PCM16, 24 kHz, mono). The last
line printed is a JSON object of what happened; the caller judges it.
"""

import asyncio
import base64
import json
import os
import sys

import openai

STEP = 960  # bytes of 20 ms
WEATHER = {
    "type": "function",
    "name": "meteo",
    "description": "Donne la météo d'une ville",
    "parameters": {"type": "object", "properties": {"ville": {"type": "string"}}, "required": ["ville"]},
}


async def speak(conn, sound, quiet=30.0):
    """Sends sound as it would be spoken, then silence, as an open microphone does."""
    loop = asyncio.get_running_loop()
    start, n = loop.time(), 0
    sound = bytes(24000) + sound + bytes(int(48000 * quiet))
    for i in range(0, len(sound), STEP):
        await conn.input_audio_buffer.append(audio=base64.b64encode(sound[i : i + STEP]).decode())
        n += 1
        await asyncio.sleep(max(0, start + n * 0.02 - loop.time()))


class Call:
    def __init__(self, conn):
        self.conn, self.kinds, self.out = conn, [], {"heard": "", "answer": "", "audio": 0, "calls": [], "errors": []}

    async def until(self, *kinds):
        """Reads events up to one of the kinds and returns it."""
        async for ev in self.conn:
            kind = ev.type
            if not self.kinds or self.kinds[-1] != kind:
                self.kinds.append(kind)
            if kind == "error":
                self.out["errors"].append(ev.error.message)
            elif kind == "conversation.item.input_audio_transcription.completed":
                self.out["heard"] = ev.transcript
            elif kind in ("response.output_audio.delta", "response.audio.delta"):
                self.out["audio"] += len(base64.b64decode(ev.delta))
            elif kind in ("response.output_audio_transcript.delta", "response.audio_transcript.delta"):
                self.out["answer"] += ev.delta
            elif kind == "response.function_call_arguments.done":
                self.out["calls"].append({"id": ev.call_id, "arguments": ev.arguments})
            elif kind == "response.done":
                self.out["status"] = ev.response.status
                self.out["usage"] = ev.response.usage.total_tokens if ev.response.usage else 0
            if kind in kinds:
                return ev
        raise SystemExit(f"the connection ended; wanted {kinds}, got {self.kinds}")


def settings(beta, **more):
    if beta:
        turns = more.pop("turn_detection", {"type": "server_vad"})
        return {"input_audio_transcription": {"model": "whisper-1"}, "voice": "alloy", "turn_detection": turns, **more}
    turns = more.pop("turn_detection", {"type": "semantic_vad"})
    listen = {"transcription": {"model": "gpt-4o-mini-transcribe", "language": "fr"}, "turn_detection": turns}
    return {"type": "realtime", "audio": {"input": listen, "output": {"voice": "marin"}}, **more}


async def ask(conn, text):
    await conn.conversation.item.create(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    )
    await conn.response.create()


async def talk(call, sound, beta):
    mouth = asyncio.create_task(speak(call.conn, sound))
    await call.until("response.done")
    mouth.cancel()


async def interrupt(call, sound, beta):
    await ask(call.conn, "Raconte une très longue histoire, avec beaucoup de phrases.")
    await call.until("response.output_audio.delta", "response.audio.delta")
    mouth = asyncio.create_task(speak(call.conn, sound))
    done = await call.until("response.done")
    call.out["first"] = done.response.status
    call.out["audio"], call.out["answer"] = 0, ""
    await call.until("response.done")
    mouth.cancel()


async def truncate(call, sound, beta):
    await ask(call.conn, "Récite les jours de la semaine.")
    done = await call.until("response.done")
    item = done.response.output[0].id
    await call.conn.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=300)
    cut = await call.until("conversation.item.truncated", "error")
    call.out["truncated"] = getattr(cut, "audio_end_ms", None)
    if not beta:
        await call.conn.conversation.item.retrieve(item_id=item)
        kept = await call.until("conversation.item.retrieved", "error")
        call.out["kept"] = kept.item.content[0].transcript


async def tool(call, sound, beta):
    await ask(call.conn, "Quel temps fait-il à Paris ? Demande la météo.")
    done = await call.until("response.done")
    fn = [o for o in done.response.output if o.type == "function_call"]
    call.out["arguments"] = [json.loads(f.arguments) for f in fn]
    for f in fn:
        await call.conn.conversation.item.create(
            item={"type": "function_call_output", "call_id": f.call_id, "output": '{"ciel":"pluie","degres":12}'}
        )
    await call.conn.response.create(response={"tool_choice": "none"})
    await call.until("response.done")


async def push_to_talk(call, sound, beta):
    await call.conn.input_audio_buffer.clear()
    for i in range(0, len(sound), 50 * STEP):
        await call.conn.input_audio_buffer.append(audio=base64.b64encode(sound[i : i + 50 * STEP]).decode())
    await call.conn.input_audio_buffer.commit()
    await call.conn.response.create()
    await call.until("response.done")
    if not call.out["heard"]:
        await call.until("conversation.item.input_audio_transcription.completed")


async def main():
    name, beta = sys.argv[1], "beta" in sys.argv[2:]
    base = os.environ["BASE"] + "/v1"
    client = openai.AsyncOpenAI(base_url=base, websocket_base_url=base.replace("http", "ws", 1), api_key=os.environ["KEY"])
    realtime = client.beta.realtime if beta else client.realtime
    with open(os.environ["SPEECH"], "rb") as f:
        sound = f.read()
    more = {}
    if name == "push_to_talk":
        more["turn_detection"] = None
    if name == "tool":
        more.update(tools=[WEATHER], tool_choice="required")
    async with realtime.connect(model="gpt-4o-realtime-preview" if beta else "gpt-realtime") as conn:
        call = Call(conn)
        await call.until("session.created")
        await conn.session.update(session=settings(beta, **more))
        await call.until("session.updated", "error")
        await globals()[name](call, sound, beta)
    print(json.dumps({**call.out, "kinds": call.kinds, "version": openai.__version__}, ensure_ascii=False))


asyncio.run(asyncio.wait_for(main(), 180))
