"""Pipecat's own OpenAI Realtime service against a server: python pipecat.py SCENARIO

Environment and output as in openai_python.py. A whole Pipecat pipeline runs: microphone frames in, the service, frames out.
"""

import sys

sys.path.pop(0)  # this file has the library's name

import asyncio  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
from importlib.metadata import version  # noqa: E402

from pipecat.adapters.schemas.function_schema import FunctionSchema  # noqa: E402
from pipecat.adapters.schemas.tools_schema import ToolsSchema  # noqa: E402
from pipecat.frames.frames import (  # noqa: E402
    ErrorFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMRunFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline  # noqa: E402
from pipecat.pipeline.runner import PipelineRunner  # noqa: E402
from pipecat.pipeline.task import PipelineParams, PipelineTask  # noqa: E402
from pipecat.processors.aggregators.llm_context import LLMContext  # noqa: E402
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair  # noqa: E402
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor  # noqa: E402
from pipecat.services.openai.realtime import events  # noqa: E402
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService  # noqa: E402

STEP = 960  # bytes of 20 ms
out = {"heard": "", "answer": "", "audio": 0, "arguments": [], "errors": [], "kinds": [], "status": ""}


class Ear(FrameProcessor):
    """Notes the frames that pass, either way. Transcripts go up from the service, sound goes down."""

    def __init__(self):
        super().__init__()
        self.seen = asyncio.Queue()

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        kind = type(frame).__name__
        if isinstance(frame, TranscriptionFrame):
            out["heard"] = frame.text
        elif isinstance(frame, TTSAudioRawFrame) and direction == FrameDirection.DOWNSTREAM:
            out["audio"] += len(frame.audio)
        elif isinstance(frame, TTSTextFrame):
            out["answer"] += frame.text
        elif isinstance(frame, ErrorFrame):
            out["errors"].append(frame.error)
        elif isinstance(frame, LLMFullResponseEndFrame):
            out["status"] = "completed"
        if not isinstance(frame, InputAudioRawFrame):
            if not out["kinds"] or out["kinds"][-1] != kind:
                out["kinds"].append(kind)
            self.seen.put_nowait(kind)
        await self.push_frame(frame, direction)

    async def until(self, kind):
        while await self.seen.get() != kind:
            pass

    async def answered(self):
        """Waits for the end of an answer with sound. An interrupted one ends too, perhaps late."""
        while not out["audio"]:
            await self.until("LLMFullResponseEndFrame")


async def speak(task, sound):
    loop = asyncio.get_running_loop()
    start, n = loop.time(), 0
    sound = bytes(24000) + sound + bytes(48000 * 60)
    for i in range(0, len(sound), STEP):
        await task.queue_frame(InputAudioRawFrame(audio=sound[i : i + STEP], sample_rate=24000, num_channels=1))
        n += 1
        await asyncio.sleep(max(0, start + n * 0.02 - loop.time()))


async def talk(task, ear, sound):
    mouth = asyncio.create_task(speak(task, sound))
    await ear.answered()
    mouth.cancel()


async def interrupt(task, ear, sound):
    await task.queue_frame(LLMRunFrame())
    await ear.until("TTSAudioRawFrame")
    mouth = asyncio.create_task(speak(task, sound))
    await ear.until(InterruptionFrame.__name__)
    out["first"] = "cancelled"
    out["audio"], out["answer"] = 0, ""
    await ear.answered()
    mouth.cancel()


async def tool(task, ear, sound):
    await task.queue_frame(LLMRunFrame())
    await ear.answered()  # one response with the call, then one about its result


async def main():
    name = sys.argv[1]
    with open(os.environ["SPEECH"], "rb") as f:
        sound = f.read()
    hear = events.AudioInput(transcription=events.InputAudioTranscription(model="gpt-4o-mini-transcribe"),
                             turn_detection=events.TurnDetection())
    settings = events.SessionProperties(audio=events.AudioConfiguration(input=hear),
                                        instructions="Réponds en une phrase, en français.",
                                        tool_choice="required" if name == "tool" else None)
    service = OpenAIRealtimeLLMService(
        api_key=os.environ["KEY"], base_url=os.environ["BASE"].replace("http", "ws", 1) + "/v1/realtime",
        settings=OpenAIRealtimeLLMService.Settings(model="gpt-realtime", session_properties=settings))

    async def meteo(params):
        out["arguments"].append(dict(params.arguments))
        # A model as small as the one of the tests calls for certain only when it must, and then again and again.
        no_more = events.SessionProperties(tool_choice="none")
        await service.send_client_event(events.SessionUpdateEvent(session=no_more))
        await params.result_callback({"ciel": "pluie", "degres": 12})

    service.register_function("meteo", meteo)
    tools = ToolsSchema(standard_tools=[FunctionSchema(
        name="meteo", description="Donne la météo d'une ville", properties={"ville": {"type": "string"}},
        required=["ville"])]) if name == "tool" else None
    ask = {"interrupt": "Raconte une très longue histoire, avec beaucoup de phrases.",
           "tool": "Appelle la fonction meteo pour la ville de Paris."}.get(name)
    context = LLMContext([{"role": "user", "content": ask}] if ask else [], **({"tools": tools} if tools else {}))
    pair = LLMContextAggregatorPair(context)
    ear = Ear()
    task = PipelineTask(Pipeline([pair.user(), Ear(), service, ear, pair.assistant()]),
                        params=PipelineParams(audio_in_sample_rate=24000, audio_out_sample_rate=24000))
    runner = asyncio.create_task(PipelineRunner(handle_sigint=False).run(task))
    await globals()[name](task, ear, sound)
    await task.cancel()
    await asyncio.wait_for(runner, 10)
    print(json.dumps({**out, "version": version("pipecat-ai")}, ensure_ascii=False))


asyncio.run(asyncio.wait_for(main(), 180))
