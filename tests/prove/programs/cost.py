"""What the probe costs a step: tiny DDP steps in blocks, with its wrapper around forward and without, by lot.

    hotrun prove -- torchrun --nproc-per-node 2 tests/prove/programs/cost.py

All kinds take turns in one process, so a busy machine troubles them alike; "without" is there twice, and
the two tell how far medians of the same thing lie apart. 2,000 steps of each.
"""

import random
import statistics
import time

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

ROUNDS, STEPS = 80, 25
dist.init_process_group("gloo")
torch.set_num_threads(1)
model = DistributedDataParallel(torch.nn.Linear(8, 8))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
ones = torch.ones(4, 8)
watched = DistributedDataParallel.forward
bare = getattr(watched, "__wrapped__", watched)
kinds = {"with the probe": watched, "without": bare, "without, again": bare}
seconds = {name: [] for name in kinds}
order = random.Random(0)  # the same on all ranks
for _ in range(ROUNDS):
    for name in order.sample(list(kinds), len(kinds)):
        DistributedDataParallel.forward = kinds[name]
        dist.barrier()
        for _ in range(STEPS):
            began = time.perf_counter()
            model(ones).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            seconds[name].append(time.perf_counter() - began)
if dist.get_rank() == 0:
    for name, each in seconds.items():
        print(f"{name:15} {statistics.median(each) * 1e6:7.1f} us a step (median)")
dist.destroy_process_group()
