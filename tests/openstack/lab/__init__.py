"""A whole OpenStack of Debian 12's own packages in a network namespace, for tests; see `python3 -m tests.openstack.lab --help`.

Standard library only. Nothing of it is reached from outside the namespace, and no service of the machine is touched.
"""
