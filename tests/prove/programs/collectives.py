"""Collectives by hand, each imported before anything is initialised: KIND says which are called."""

import os
import sys

import torch
from torch.distributed import all_reduce, get_rank, init_process_group, new_group

kind = sys.argv[1]
init_process_group("gloo")
ones = torch.ones(4)
if kind == "functional":
    from torch.distributed._functional_collectives import all_reduce as reduced

    ones = reduced(ones, "sum", torch.distributed.group.WORLD) + 0
elif kind == "fsdp":
    from torch.distributed.fsdp import fully_shard

    model = fully_shard(torch.nn.Linear(4, 4))
    model(ones[None]).sum().backward()
elif kind == "half":  # nobody does anything with everybody
    all_reduce(ones, group=[new_group([0]), new_group([1])][get_rank()])
elif kind == "ends-at-once":
    all_reduce(ones)
    os._exit(0)
torch.distributed.destroy_process_group()
