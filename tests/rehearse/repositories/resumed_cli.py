"""A LightningCLI program that knows nothing of hotrun; its epochs take half a second."""

import time

import torch
from pytorch_lightning import LightningDataModule, LightningModule
from pytorch_lightning.cli import LightningCLI
from torch.utils.data import DataLoader, TensorDataset


class Net(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 2)

    def training_step(self, batch, index):
        time.sleep(0.05)
        return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

    def on_train_epoch_start(self):
        print(f"epoch {self.current_epoch} begins", flush=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Data(LightningDataModule):
    def train_dataloader(self):
        images = torch.randn(160, 8, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(images, (images[:, 0] > 0).long()), batch_size=8)


if __name__ == "__main__":
    LightningCLI(Net, Data, seed_everything_default=1)
