# One run at a time, and nothing left over from a killed one: workflow/lib/run_lock.py.
from run_hooks import RunHooks
from settings_beside import SettingsBeside

hooks = RunHooks(workflow, JOBS, asked)
settings_beside = SettingsBeside(workflow, RESULTS, EXPERIMENT)


onstart:
    hooks.start()
    settings_beside.forget()


onsuccess:
    hooks.end(finished=True)
    settings_beside.write()


onerror:
    hooks.end(finished=False)
