"""The node program inside a Slurm job: what job.sbatch starts on the login node, and on every node by srun.

    job.sbatch (bash)        modules, addresses, srun, requeue
    python PROGRAM COMMAND   all else, see __main__.py

A node recognises, launches, probes and judges as it does on a machine of a cloud. There is no coordinator:
the script starts the nodes together, and what they leave in the run's directory decides what follows.
"""
