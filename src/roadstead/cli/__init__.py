"""The command line: verbs over the public APIs, and the demo. Heavy imports happen inside the verbs that need them."""
