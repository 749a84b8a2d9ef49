"""Programs for jobs: two that train until they are disturbed, one that raises, and one without any package."""

from __future__ import annotations

DISTURBED = """
import json, os, pathlib, time
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
rank, attempt = dist.get_rank(), int(os.environ["HOTRUN_ATTEMPT"])
torch.manual_seed(0)
model = torch.nn.Linear(8, 2)
first = 0
if os.environ["HOTRUN_RESUME_FROM"]:
    state = torch.load(os.environ["HOTRUN_RESUME_FROM"])
    model.load_state_dict(state["model"])
    first = state["step"]
print(f"attempt {attempt} from step {first}", flush=True)
parallel = DistributedDataParallel(model)
optimizer = torch.optim.SGD(parallel.parameters(), lr=0.1)
undisturbed = int(os.environ.get("UNDISTURBED", "1"))
last = 100_000 if attempt <= undisturbed else first + 20  # the first attempt goes on until it is disturbed
for step in range(first + 1, last + 1):
    optimizer.zero_grad()
    parallel(torch.randn(4, 8)).square().mean().backward()
    optimizer.step()
    if rank == 0 and step % 4 == 0:
        directory = pathlib.Path(os.environ["HOTRUN_CHECKPOINT_DIR"])
        directory.mkdir(parents=True, exist_ok=True)
        torch.save({"model": model.state_dict(), "step": step}, directory / "new.part")
        os.replace(directory / "new.part", directory / f"step-{step:06d}.ckpt")
    if rank == 0 and step % 10 == 0:
        print(f"epoch {step // 10}", flush=True)
    time.sleep(0.2)
if rank == 0:
    result = {"resumed_from_step": first, "world_size": dist.get_world_size()}
    (pathlib.Path(os.environ["HOTRUN_RUN_DIR"]) / "result.json").write_text(json.dumps(result))
dist.destroy_process_group()
"""

TRAINER = """
import json, os, pathlib, time
import torch
from pytorch_lightning import LightningModule, Trainer

class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 2)

    def training_step(self, batch, index):
        time.sleep(0.2)
        return self.layer(batch).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

resume = os.environ["HOTRUN_RESUME_FROM"] or None
found = torch.load(resume) if resume else {"epoch": 10_000, "global_step": 0}
trainer = Trainer(max_epochs=found["epoch"] + 2, enable_progress_bar=False)
trainer.fit(Model(), torch.utils.data.DataLoader(torch.randn(64, 8), batch_size=4), ckpt_path=resume)
if trainer.is_global_zero:
    result = {"resumed_from_step": found["global_step"], "world_size": trainer.world_size}
    (pathlib.Path(os.environ["HOTRUN_RUN_DIR"]) / "result.json").write_text(json.dumps(result))
"""

PLAIN = """
import json, os, pathlib
where = {"node": os.environ["HOTRUN_NODE_RANK"], "nodes": os.environ["HOTRUN_NNODES"], "resumed_from_step": None}
(pathlib.Path(os.environ["HOTRUN_RUN_DIR"]) / "result.json").write_text(json.dumps(where))
"""
RAISES = """
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
dist.all_reduce(torch.ones(1))
if dist.get_rank() == 1:
    raise ValueError("there is no such digit")
dist.all_reduce(torch.ones(1))
"""
RAISES_AT = RAISES.splitlines().index('    raise ValueError("there is no such digit")') + 1
