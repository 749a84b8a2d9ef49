"""A DDP program whose second rank (or only one) raises in the middle."""

import os

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
model = DistributedDataParallel(torch.nn.Linear(8, 2))
for step in range(20):
    model(torch.randn(4, 8)).sum().backward()
    if step == 3 and dist.get_rank() == int(os.environ["WORLD_SIZE"]) - 1:
        raise RuntimeError("the data of digit 7 are broken")
dist.destroy_process_group()
