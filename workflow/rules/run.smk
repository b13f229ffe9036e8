# One run at a time, and nothing left over from a killed one: workflow/lib/run_lock.py.
from run_hooks import RunHooks

hooks = RunHooks(workflow, JOBS, asked)


onstart:
    hooks.start()


onsuccess:
    hooks.end(finished=True)


onerror:
    hooks.end(finished=False)
