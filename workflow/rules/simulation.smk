rule simulation_convergence:
    output:
        f"{RESULTS}/simulation/convergence/dim-{{dim}}_seed-{{seed}}.csv",
    log:
        f"{LOGS}/simulation/convergence/dim-{{dim}}_seed-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/simulation/convergence/dim-{{dim}}_seed-{{seed}}.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: EXPERIMENT.simulation.threads
    resources:
        **asked(
            mem_mb=lambda wildcards: 2000 + int(wildcards.dim) ** 2 // 10_000,
            runtime=lambda wildcards: 30 + int(wildcards.dim) // 20,
            gpu=JOBS.gpus(),
        ),
        device=JOBS.device,
    params:
        settings=lambda wildcards: PLAN.convergence(wildcards.dim, wildcards.seed).canonical(),
        code=code_hash("hyperinf.simulation.convergence"),
    message:
        "Solver convergence, dimension {wildcards.dim}, seed {wildcards.seed}"
    shell:
        "python -m hyperinf simulate convergence --config {params.settings:q} {resources.device} "
        "--threads {threads} --out {output:q} > {log:q} 2>&1"


rule simulation_fisher:
    output:
        fim=f"{RESULTS}/simulation/fisher/fim.npy",
        gfim=f"{RESULTS}/simulation/fisher/gfim.npy",
        summary=f"{RESULTS}/simulation/fisher/summary.csv",
    log:
        f"{LOGS}/simulation/fisher.log",
    benchmark:
        f"{BENCHMARKS}/simulation/fisher.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: EXPERIMENT.simulation.threads
    resources:
        **asked(mem_mb=2000, runtime=10, gpu=0),
    params:
        settings=PLAN.fisher().canonical(),
        folder=lambda wildcards, output: Path(output.summary).parent,
        code=code_hash("hyperinf.simulation.fisher"),
    message:
        "GFIM against FIM"
    shell:
        "python -m hyperinf simulate fisher --config {params.settings:q} --out {params.folder:q} > {log:q} 2>&1"


# A measurement: it asks for all cores, so that nothing runs beside it. How many threads it takes of them is part of what
# is measured, and stands in its settings.
rule simulation_timing:
    output:
        f"{RESULTS}/simulation/timing.csv",
    log:
        f"{LOGS}/simulation/timing.log",
    benchmark:
        f"{BENCHMARKS}/simulation/timing.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: whole_machine(EXPERIMENT.simulation.timing.threads)
    resources:
        **asked(mem_mb=2000 + max(EXPERIMENT.simulation.timing.dims) ** 2 // 10_000, runtime=120, gpu=JOBS.gpus()),
        device=JOBS.device,
    params:
        settings=PLAN.timing().canonical(),
        code=code_hash("hyperinf.simulation.timing"),
    message:
        "Time to invert (runs alone)"
    shell:
        "python -m hyperinf simulate timing --config {params.settings:q} {resources.device} --out {output:q} "
        "> {log:q} 2>&1"
