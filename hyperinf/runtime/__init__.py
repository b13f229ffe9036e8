"""Where and how a command runs: devices, processes, time and memory."""
