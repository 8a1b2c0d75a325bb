"""The local stack of `up`: start its processes, watch them, restart what dies, stop them all.

`python -m framehouse.stack` is the supervisor: a small process that imports nothing heavy. Everything it starts is
bound to its life by the kernel (PR_SET_PDEATHSIG), so that even `kill -9` on it leaves nothing behind. What it knows it
writes to `state/stack.json`: addresses for the other processes, states for `status`.
"""

from framehouse.stack.components import plan_stack
from framehouse.stack.supervisor import Command, Component, Supervisor, single_instance

__all__ = ["Command", "Component", "Supervisor", "plan_stack", "single_instance"]
