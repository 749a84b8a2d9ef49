"""Looking at a run while it trains, and afterwards: TensorBoard here or on the master, tunnels to ports.

Nothing of it runs before somebody looks, and it ends when nobody does any more.
"""
