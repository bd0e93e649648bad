"""`roadstead demo`: the main job in one command, with real containers: load → alarm → scale out → scale in.

stage    starts a control plane and an instance in a temporary directory, and removes everything in the end
load     asks the tasks for work, at a steady rate
watch    reads what the control plane says of the service
story    the steps that must happen, in order, and how long each took
picture  draws it, live in a terminal or as lines
"""
