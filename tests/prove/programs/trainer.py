"""Lightning's Trainer as most repositories have it: nothing is said of devices or machines."""

import os

import torch
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset


class Net(LightningModule):
    """One layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(32, 2)

    def training_step(self, batch):
        """The loss of a batch: images Bx32, labels B."""
        return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

    def configure_optimizers(self):
        """Plain SGD."""
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        """32 samples of noise."""
        return DataLoader(TensorDataset(torch.randn(32, 32), torch.randint(2, (32,))), batch_size=4)


if __name__ == "__main__":
    mended = {"num_nodes": int(os.environ["NODES"]), "strategy": "ddp"} if "NODES" in os.environ else {}
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    Trainer(max_epochs=1, **quiet, **mended).fit(Net())
    print("trained")
