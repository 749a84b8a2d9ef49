"""The same as a LightningCLI program."""

from pytorch_lightning.cli import LightningCLI
from trainer import Net

if __name__ == "__main__":
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    LightningCLI(Net, save_config_callback=None, trainer_defaults={"max_epochs": 1, **quiet})
    print("trained")
