"""What the control plane says to each connected agent (agent-protocol.md 3 and 4). Pure.

    machine     one agent's ACS session: events in, instructions out
    connection  what a session writes into its instance's record
    payload     a task's records as the Task of a payload
    telemetry   TCS frames as metric data and container health

The gateway's shell (`gateway.agents`) feeds the machine and carries out what it asks for.
"""
