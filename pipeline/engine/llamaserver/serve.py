"""Runs llama.cpp's HTTP server out of the xllamacpp package, as a child of Brenda.

argv[1] is a JSON object with the settings; the API key comes in the environment, as
for llama-server itself, so that no process list shows it. The end of stdin is the end
of the parent: exit at once, whatever llama.cpp is doing. So does SIGTERM.
"""

import json
import os
import signal
import sys
import threading

# The system's default ends the process at once; Python's own handlers would wait for
# the interpreter, which a native call may hold.
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.SIG_DFL)


def watch_parent():
    while os.read(0, 4096):
        pass
    os._exit(0)


# Started before the import and the load of the model: those take seconds.
threading.Thread(target=watch_parent, daemon=True).start()

import xllamacpp  # noqa: E402

cfg = json.loads(sys.argv[1])
p = xllamacpp.CommonParams()
p.model.path = cfg["model"]
p.model_alias = {cfg["alias"]}
p.hostnames = ["127.0.0.1"]
p.port = cfg["port"]
p.api_keys = [os.environ["LLAMA_API_KEY"]]
p.n_ctx = cfg["ctx"]
p.n_parallel = cfg["parallel"]
p.cpuparams.n_threads = cfg["threads"]
p.cpuparams_batch.n_threads = cfg["threads_batch"]
p.cache_ram_mib = cfg["cache_ram"]
p.use_jinja = True
p.swa_full = cfg["swa_full"]
p.endpoint_metrics = True
p.endpoint_slots = True
p.ui = False
# A port that another process holds must fail loudly, so that the parent takes another.
p.reuse_port = False

server = xllamacpp.Server(p)
print("listening", server.listening_address, flush=True)
threading.Event().wait()
