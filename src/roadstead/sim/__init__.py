"""A virtual world: the production code under a virtual clock, with stand-ins for what touches the ground.

    world       puts it together: clock, control plane, agents, faults, scenario calls
    agenda      the virtual clock and the heap of what is due
    plane       the control plane's process: store, stepper, sessions and operations are production code
    hosts       an agent's process: its machines are production code; the host below is `agent.simulated_host`
    network     messages with delays, losses and cuts; disk: a journal that loses what it had not synced
    faults      what goes wrong, seeded; checkers: what must hold all the same
    traffic     requests per second over a day; load: what serving them burns
    crowd       agents and hosts in bulk, for long simulations at speed
    transcript  what happened, a line each, the same for the same seed

Nothing here asks for the time or for chance: everything follows from the seed.
"""
