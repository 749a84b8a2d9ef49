"""DDP in bfloat16 with BatchNorm, whose statistics differ by rank; WHAT drifts: nothing, or a parameter of rank 1."""

import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8)).to(torch.bfloat16)
model = DistributedDataParallel(net, broadcast_buffers=False)
torch.manual_seed(dist.get_rank())
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    model(torch.randn(4, 8, dtype=torch.bfloat16)).square().mean().backward()
    optimizer.step()
if sys.argv[1] == "parameter" and dist.get_rank() == 1:
    with torch.no_grad():
        net[0].weight += 1
dist.destroy_process_group()
