"""DDP under torch.compile, and a function with collectives; rank 0 prints what was compiled how often, and the sums."""

import torch
import torch.distributed as dist
from torch._dynamo.utils import counters
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
torch.manual_seed(0)
model = DistributedDataParallel(torch.nn.Linear(8, 1))
compiled = torch.compile(model, backend="eager")
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)


@torch.compile(backend="eager")
def reduced(values):
    """All ranks' values, doubled."""
    dist.all_reduce(values)
    dist.broadcast(values, 0)
    return values * 2


total = 0.0
for step in range(12):
    loss = compiled(torch.full((4, 8), float(dist.get_rank() + step))).sum()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    total += float(loss.detach()) + float(reduced(torch.ones(3)).sum())
if dist.get_rank() == 0:
    print(total, dict(counters["stats"]), sum(counters["graph_break"].values()))
dist.destroy_process_group()
