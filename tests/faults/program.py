"""The program that machines train while something goes wrong: small, resumable, the same to the last bit."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
STEPS, EVERY = 120, 5
PAUSE_S = (
    0.25  # after each step, so that a fault after `rows.MIDDLE` is in the middle; the last attempt hurries
)
TORCH = next(
    line
    for line in (ROOT / "payload/requirements.txt").read_text().splitlines()
    if line.startswith("torch==")
)

PROGRAM = """
import hashlib, json, os, pathlib, time
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
first = 0
if os.environ["HOTRUN_RESUME_FROM"]:
    state = torch.load(os.environ["HOTRUN_RESUME_FROM"])
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    first = state["step"]
print(f"from step {{first}}", flush=True)
# with it the buckets stay as they are: three numbers are summed in the order that their place in a bucket gives
parallel = DistributedDataParallel(model, find_unused_parameters=True)
for step in range(first, {steps}):
    generator = torch.Generator().manual_seed(1000 * step + rank)
    loss = parallel(torch.randn(4, 8, generator=generator)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if rank == 0 and (step + 1) % {every} == 0:
        directory = pathlib.Path(os.environ["HOTRUN_CHECKPOINT_DIR"])
        directory.mkdir(parents=True, exist_ok=True)
        state = {{"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}}
        torch.save(state, directory / "new.part")
        os.replace(directory / "new.part", directory / f"step-{{step + 1:06d}}.ckpt")
    if step == {half}:
        print("half of it", flush=True)
        {at_half}
    time.sleep({pause_s} if int(os.environ["HOTRUN_ATTEMPT"]) <= {slow_attempts} else 0.02)
if rank == 0:
    raw = b"".join(each.detach().numpy().tobytes() for each in model.parameters())
    result = {{"weights": hashlib.sha256(raw).hexdigest()}}
    (pathlib.Path(os.environ["HOTRUN_RUN_DIR"]) / "result.json").write_text(json.dumps(result))
dist.destroy_process_group()
"""


def repository(directory: Path, at_half: str = "pass", slow_attempts: int = 1) -> Path:
    """A tree with the program, which does `at_half` in the middle of its training."""
    directory.mkdir(parents=True)
    (directory / "requirements.txt").write_text(f"{TORCH}\nnumpy\n")
    text = PROGRAM.format(
        steps=STEPS, every=EVERY, half=STEPS // 2, pause_s=PAUSE_S, at_half=at_half, slow_attempts=slow_attempts
    )  # fmt: skip
    (directory / "main.py").write_text(text)
    return directory
