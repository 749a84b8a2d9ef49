"""The parts of torch_ddp.py that are not its loop."""
