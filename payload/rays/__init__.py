"""The parts of ray_train.py that are not its loop: cluster, shards, relay, predictions, Ray's words."""
