"""The parts of tensorflow_mwms.py that are not its loop. `ready` and what it imports need no TensorFlow."""
