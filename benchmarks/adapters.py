"""A LoRA merged into the weights of a large model: peak memory and time beside PEFT's.

    python benchmarks/adapters.py [--peers PYTHON] [--gigabytes 2] [--dtype bfloat16]

The model is one of Llama's kind with random weights, in shards of half a gigabyte, with a LoRA of rank 16 on
all its matrices. PEFT runs in an interpreter of its own that has torch, transformers and peft, and which also
makes the model; each tool is a process that reads files and writes files.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from session import processor

HERE = Path(__file__).resolve()
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

MAKE = """
import sys, torch, transformers, peft
folder, layers, dtype = sys.argv[1], int(sys.argv[2]), getattr(torch, sys.argv[3])
torch.manual_seed(0)
config = transformers.LlamaConfig(hidden_size=2048, intermediate_size=5632, num_hidden_layers=layers,
    num_attention_heads=16, num_key_value_heads=8, vocab_size=8192)
model = transformers.LlamaForCausalLM(config).to(dtype)
model.save_pretrained(folder + "/base", max_shard_size="500MB")
lora = peft.get_peft_model(model, peft.LoraConfig(r=16, lora_alpha=32, target_modules=PROJECTIONS))
with torch.no_grad():
    for name, weights in lora.named_parameters():
        if "lora_B" in name:
            weights.normal_(std=0.02)
lora.save_pretrained(folder + "/adapter")
""".replace("PROJECTIONS", repr(PROJECTIONS))

PEFT = """
import sys, torch, transformers, peft
folder, dtype = sys.argv[1], getattr(torch, sys.argv[2])
model = transformers.AutoModelForCausalLM.from_pretrained(folder + "/base", dtype=dtype)
model = peft.PeftModel.from_pretrained(model, folder + "/adapter").merge_and_unload()
model.save_pretrained(folder + "/peft", max_shard_size="500MB")
"""

OURS = """
import sys
from arrayfab.adapters import merge, read_adapter
folder = sys.argv[1]
merge(folder + "/base", read_adapter(folder + "/adapter"), folder + "/arrayfab")
"""

COMPARE = """
import sys, json
from pathlib import Path
from safetensors import safe_open
folder = Path(sys.argv[1])
theirs = {name: path for path in sorted((folder / "peft").glob("*.safetensors"))
          for name in safe_open(path, "pt").keys()}
equal = differing = 0
for path in sorted((folder / "arrayfab").glob("*.safetensors")):
    with safe_open(path, "pt") as file:
        for name in file.keys():
            with safe_open(theirs[name], "pt") as other:
                same = int((file.get_tensor(name) == other.get_tensor(name)).sum())
            size = file.get_tensor(name).numel()
            equal, differing = equal + same, differing + size - same
print(json.dumps({"equal": equal, "differing": differing}))
"""


def measured(python: str, code: str, *arguments: str) -> dict[str, float]:
    """Seconds by the clock and by the processor, and the largest resident set, of a process."""
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
    process = subprocess.Popen([python, "-c", code, *arguments], env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"the process ended with status {status}")
    return {
        "seconds": time.perf_counter() - start,
        "processor seconds": usage.ru_utime + usage.ru_stime,
        "peak MiB": usage.ru_maxrss / 1024,
    }


def main() -> None:
    """Make a model, merge it with both, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default=sys.executable, help="Python with torch, transformers and peft")
    parser.add_argument("--gigabytes", type=float, default=2.0, help="of weights")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float16", "float32"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to write what was measured")
    arguments = parser.parse_args()
    size = 4 if arguments.dtype == "float32" else 2
    layers = round((arguments.gigabytes * 2**30 / size - 2 * 8192 * 2048) / 47_190_016)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([arguments.peers, "-c", MAKE, folder, str(layers), arguments.dtype], check=True)
        rounds = []
        for _ in range(arguments.rounds):
            rounds.append(
                {
                    "arrayfab": measured(sys.executable, OURS, folder),
                    "peft": measured(arguments.peers, PEFT, folder, arguments.dtype),
                }
            )
            print(json.dumps(rounds[-1], indent=1))
        compared = subprocess.run(
            [arguments.peers, "-c", COMPARE, folder], check=True, capture_output=True, text=True
        )
        bytes_ = sum(path.stat().st_size for path in Path(folder, "base").glob("*.safetensors"))
    best = {
        tool: {key: min(each[tool][key] for each in rounds) for key in rounds[0][tool]} for tool in rounds[0]
    }
    record = {
        "bytes": bytes_,
        "dtype": arguments.dtype,
        "processor": processor(),
        "least of": arguments.rounds,
        **best,
        "entries": json.loads(compared.stdout),
    }
    print(json.dumps(record, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
