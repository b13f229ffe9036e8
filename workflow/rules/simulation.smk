rule simulation_convergence:
    output:
        f"{RESULTS}/simulation/convergence/dim-{{dim}}_seed-{{seed}}.csv",
    log:
        f"{LOGS}/simulation/convergence/dim-{{dim}}_seed-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/simulation/convergence/dim-{{dim}}_seed-{{seed}}.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: SIMULATION["threads"]
    resources:
        mem_mb=grows(lambda wildcards: 2000 + int(wildcards.dim) ** 2 // 10_000),
        runtime=grows(lambda wildcards: 30 + int(wildcards.dim) // 20),
        gpu=gpus(),
        share=1,
        device=DEVICE,
    params:
        settings=flags(
            samples=SIMULATION["samples"],
            damping=SIMULATION["damping"],
            iterations=SIMULATION["iterations"],
            methods=SIMULATION["methods"],
        ),
        code=code_hash("hyperinf.simulation.convergence"),
    message:
        "Solver convergence, dimension {wildcards.dim}, seed {wildcards.seed}"
    shell:
        "python -m hyperinf simulate convergence --dim {wildcards.dim} --seed {wildcards.seed} {params.settings:q} "
        "--device {resources.device:q} --threads {threads} --out {output:q} > {log:q} 2>&1"


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
    threads: SIMULATION["threads"]
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
        gpu=0,
        share=1,
    params:
        settings=flags(**SIMULATION["fisher"]),
        folder=lambda wildcards, output: Path(output.summary).parent,
        code=code_hash("hyperinf.simulation.fisher"),
    message:
        "GFIM against FIM"
    shell:
        "python -m hyperinf simulate fisher {params.settings:q} --out {params.folder:q} > {log:q} 2>&1"


# A measurement: it has the machine to itself, and its number of threads is part of what is measured.
rule simulation_timing:
    output:
        f"{RESULTS}/simulation/timing.csv",
    log:
        f"{LOGS}/simulation/timing.log",
    benchmark:
        f"{BENCHMARKS}/simulation/timing.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: SIMULATION["timing"]["threads"]
    resources:
        mem_mb=grows(2000 + max(SIMULATION["timing"]["dims"]) ** 2 // 10_000),
        runtime=grows(120),
        gpu=gpus(),
        share=WHOLE_MACHINE,
        device=DEVICE,
    params:
        settings=flags(**SIMULATION["timing"]),
        code=code_hash("hyperinf.simulation.timing"),
    message:
        "Time to invert (runs alone)"
    shell:
        "python -m hyperinf simulate timing {params.settings:q} --device {resources.device:q} --out {output:q} "
        "> {log:q} 2>&1"
