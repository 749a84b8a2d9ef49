"""What is settled when the ranks have met and before any trains: the run, its place, equal beginnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from ranks.exact import backend, from_rank_0
from ranks.launch import ranks_on_this_node
from ranks.settle import settle
from recipe import Run
from show.place import checkpoints_of, directory_of

from lit.callbacks import Balance, LocalSGD, Report
from lit.saving import Checkpoints

if TYPE_CHECKING:
    from keep.every import Every

    from lit.images import Images


class Start(Callback):  # type: ignore[misc]  # Lightning has no types
    """Makes the run of what was asked for, and the callbacks that go with it.

    `options` is the command line, `began` time.perf_counter() at the start of the program.
    """

    def __init__(self, options: Any, every: Every, reasons: dict[str, str], began: float) -> None:
        self.options, self.every, self.reasons, self.began = options, every, reasons, began

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """All ranks; barriers. Raises what `settle` raises, and ReportError."""
        if stage != "fit":
            return
        data, options = trainer.datamodule, self.options
        run = settle(
            self.resolve(trainer, pl_module, data), pl_module.net, data.dataset,
            ranks_on_node=ranks_on_this_node(trainer.num_devices), low_memory=options.low_memory,
        )  # fmt: skip
        trainer.accumulate_grad_batches *= run.micro_batches
        if isinstance(trainer.limit_train_batches, int):  # of these batches as they were asked for
            trainer.limit_train_batches *= run.micro_batches
        data.run = self.run = run
        self.run_dir = from_rank_0(lambda: directory_of(run, options.resume))
        self.report = Report(self.run_dir, self.began)
        self.checkpoints = Checkpoints(
            self.report, checkpoints_of(self.run_dir), self.every, options.keep_checkpoints,
            options.resume, lambda text: print(text, flush=True),
        )  # fmt: skip
        first = [LocalSGD(run.local_sgd)] if run.local_sgd else []
        first += [Balance()] if run.balance == "measured" else []
        trainer.callbacks[1:1] = [*first, self.report, self.checkpoints]
        if trainer.is_global_zero:
            print(run, flush=True)

    def resolve(self, trainer: Trainer, module: LightningModule, data: Images) -> Run:
        """All that was asked for or chosen, now that the number of ranks is known."""
        accumulate = trainer.accumulate_grad_batches
        lr = module.lr_of(data.batch_size * accumulate * trainer.world_size)
        return Run(
            trainer="lightning", net=module.name, data=data.name, validation=data.validation, seed=data.seed,
            epochs=trainer.max_epochs, world=trainer.world_size, batch_size=data.batch_size,
            accumulate=accumulate, lr=lr, weight_decay=module.weight_decay,
            precision=str(trainer.precision), local_sgd=self.options.local_sgd,
            limit=trainer.limit_train_batches, balance=data.balance, backend=backend(),
            device=str(trainer.strategy.root_device), threads=torch.get_num_threads(), reasons=self.reasons,
        )  # fmt: skip
