"""job.sbatch -> a real Slurm on this computer, which prepares, runs and judges it, and is gone afterwards.

    job.py            what the file asks for         cluster.py        munged, slurmctld, slurmd in a lab
    needs.py          what this computer must have   configuration.py  slurm.conf
    session.py        prepare, submit, follow        control.py        what scontrol says
    faults.py         what goes wrong, and how       report.py         how it is told

The cluster's nodes are namespaces on a bridge, as machines at level namespace are; nothing of this computer's
own network, mounts or /etc/slurm is changed.
"""
