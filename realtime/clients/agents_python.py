"""Stock openai-agents-python against a server: python agents_python.py SCENARIO

Environment and output as in openai_python.py. The SDK's own session drives the protocol: it plays at real time in its
playback model, truncates by itself when interrupted, and calls the functions.
"""

import asyncio
import json
import os
import sys
from importlib.metadata import version

from agents.realtime import RealtimeAgent, RealtimeRunner
from agents.tool import function_tool

STEP = 960  # bytes of 20 ms
now = {}
out = {"heard": "", "answer": "", "audio": 0, "arguments": [], "errors": [], "kinds": [], "status": ""}


@function_tool
async def meteo(ville: str) -> str:
    """Donne la météo d'une ville."""
    out["arguments"].append({"ville": ville})
    await now["session"].model.send_event(NO_MORE_CALLS)
    return "pluie, 12 degrés"


async def speak(session, sound):
    loop = asyncio.get_running_loop()
    start, n = loop.time(), 0
    sound = bytes(24000) + sound + bytes(48000 * 60)
    for i in range(0, len(sound), STEP):
        await session.send_audio(sound[i : i + STEP])
        n += 1
        await asyncio.sleep(max(0, start + n * 0.02 - loop.time()))


async def until(session, *kinds):
    """Reads the session's events up to one of the kinds, the server's own included."""
    async for ev in session:
        kind = ev.type
        if kind == "raw_model_event":
            if ev.data.type != "raw_server_event":
                continue
            raw = ev.data.data
            kind = raw["type"]
            if kind == "conversation.item.input_audio_transcription.completed":
                out["heard"] = raw["transcript"]
            elif kind == "response.output_audio_transcript.delta":
                out["answer"] += raw["delta"]
            elif kind == "response.done":
                out["status"] = raw["response"]["status"]
            elif kind == "conversation.item.truncated":
                out["truncated"] = raw["audio_end_ms"]
        elif kind == "audio":
            out["audio"] += len(ev.audio.data)
        elif kind == "error":
            out["errors"].append(str(ev.error))
        if not out["kinds"] or out["kinds"][-1] != kind:
            out["kinds"].append(kind)
        if kind in kinds:
            return kind
    raise SystemExit(f"the session ended; wanted {kinds}, got {out['kinds']}")


async def talk(session, sound):
    mouth = asyncio.create_task(speak(session, sound))
    await until(session, "response.done")
    mouth.cancel()


async def interrupt(session, sound):
    await session.send_message("Raconte une très longue histoire, avec beaucoup de phrases.")
    await until(session, "audio")
    mouth = asyncio.create_task(speak(session, sound))
    await until(session, "audio_interrupted")
    out["first"] = "cancelled"
    out["audio"], out["answer"] = 0, ""
    await until(session, "response.created")
    await until(session, "response.done")
    mouth.cancel()


async def tool(session, sound):
    await session.send_message("Appelle la fonction meteo pour la ville de Paris.")
    while not out["answer"]:  # one response with the call, then one about its result
        await until(session, "response.done")


async def push_to_talk(session, sound):
    for i in range(0, len(sound), 50 * STEP):
        await session.send_audio(sound[i : i + 50 * STEP])
    await session.send_audio(b"", commit=True)
    await session.model.send_event(RAW_RESPONSE)
    await until(session, "response.done")


async def main():
    name = sys.argv[1]
    with open(os.environ["SPEECH"], "rb") as f:
        sound = f.read()
    agent = RealtimeAgent(name="Brenda", instructions="Réponds en une phrase, en français.",
                          tools=[meteo] if name == "tool" else [])
    turns = None if name == "push_to_talk" else {"type": "semantic_vad", "interrupt_response": True}
    settings = {"model_name": "gpt-realtime", "audio": {"input": {
        "transcription": {"model": "gpt-4o-mini-transcribe"}, "turn_detection": turns}}}
    if name == "tool":
        settings["tool_choice"] = "required"
    runner = RealtimeRunner(starting_agent=agent, config={"model_settings": settings, "tracing_disabled": True})
    url = os.environ["BASE"].replace("http", "ws", 1) + "/v1/realtime?model=gpt-realtime"
    async with await runner.run(model_config={"url": url, "api_key": os.environ["KEY"]}) as session:
        now["session"] = session
        await globals()[name](session, sound)
    print(json.dumps({**out, "version": version("openai-agents")}, ensure_ascii=False))


if __name__ == "__main__":
    from agents.realtime.model_inputs import RealtimeModelSendRawMessage

    RAW_RESPONSE = RealtimeModelSendRawMessage(message={"type": "response.create"})
    # A model as small as the one of the tests calls for certain only when it must, and then again and again.
    NO_MORE_CALLS = RealtimeModelSendRawMessage(message={
        "type": "session.update", "other_data": {"session": {"type": "realtime", "tool_choice": "none"}}})
    asyncio.run(asyncio.wait_for(main(), 180))
