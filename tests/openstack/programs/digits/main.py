"""A small DDP program with checkpoints: python main.py [--steps N] [--pause S] [--say WORD]."""

import argparse
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=10)
parser.add_argument("--pause", type=float, default=0.05)
parser.add_argument("--say", default="nothing")
given = parser.parse_args()

is_group = int(os.environ.get("WORLD_SIZE", "1")) > 1
if is_group:
    dist.init_process_group("gloo")
rank = dist.get_rank() if is_group else 0
size = dist.get_world_size() if is_group else 1
torch.manual_seed(0)
net = torch.nn.Linear(8, 2)
model = DistributedDataParallel(net) if is_group else net
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
checkpoints = Path(os.environ.get("HOTRUN_CHECKPOINT_DIR", "checkpoints"))
results = Path(os.environ.get("HOTRUN_RUN_DIR", "results"))
for directory in (checkpoints, results):
    directory.mkdir(parents=True, exist_ok=True)
first = 0
if os.environ.get("HOTRUN_RESUME_FROM"):
    kept = torch.load(os.environ["HOTRUN_RESUME_FROM"])
    net.load_state_dict(kept["net"])
    first = kept["step"]
print(f"says {given.say}, {size} ranks, from step {first}", flush=True)
for step in range(first, given.steps):
    optimizer.zero_grad()
    inputs = torch.randn(16, 8)
    torch.nn.functional.cross_entropy(model(inputs), (inputs[:, 0] > 0).long()).backward()
    optimizer.step()
    if rank == 0 and (step + 1) % 10 == 0:
        partial = checkpoints / "newest.part"
        torch.save({"net": net.state_dict(), "step": step + 1}, partial)
        partial.replace(checkpoints / f"step-{step + 1}.pt")
        print(f"step {step + 1}/{given.steps}", flush=True)
    time.sleep(given.pause)
if rank == 0:
    torch.save(net.state_dict(), results / "net.pt")
    (results / "said.txt").write_text(f"{given.say} {size} {first}\n")
if is_group:
    dist.destroy_process_group()
