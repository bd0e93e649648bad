"""Messages between the control plane and a container agent: ACS (control) and TCS (telemetry). Pure, no IO.

Comes in: websocket frames as text. Goes out: typed, frozen messages, and back. Used by `agent` and `gateway.agents`.
The protocol is that of Amazon's container agent (agent-protocol.md, sections 3 and 4).
"""
