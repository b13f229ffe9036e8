# One run at a time, and nothing left over from a killed one: workflow/lib/run_lock.py.
from run_hooks import RunHooks
from settings_beside import SettingsBeside

hooks = RunHooks(workflow, RESULTS)
settings_beside = SettingsBeside(workflow, RESULTS, EXPERIMENT)


onstart:
    settings_beside.forget()
    hooks.start()


onsuccess:
    hooks.end(finished=True)
    settings_beside.write()


onerror:
    hooks.end(finished=False)
