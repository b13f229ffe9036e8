rule prepare:
    input:
        source=lambda wildcards: JOBS.source_files(*(entry.source for entry in JOBS.data_of(wildcards))),
    output:
        splits=[f"{DATA}/{split}.parquet" for split in SPLITS],
        info=f"{DATA}/info.json",
        settings=f"{DATA}/settings.yaml",
    log:
        f"{LOGS}/{{study}}/{{task}}/data/seed-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/{{task}}/data/seed-{{seed}}.tsv"
    # Quick, and studies wait for it.
    priority: 2
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        **asked(mem_mb=2000, runtime=30, gpu=0),
        cache=JOBS.cache,
    params:
        settings=lambda wildcards: PLAN.prepare(**wildcards).canonical(),
        folder=lambda wildcards, output: Path(output.info).parent,
        code=lambda wildcards: JOBS.data_code(*JOBS.data_of(wildcards)),
    message:
        "Draw {wildcards.task} for {wildcards.study}, seed {wildcards.seed}"
    shell:
        "python -m hyperinf prepare --config {params.settings:q} {resources.cache} --out {params.folder:q} > {log:q} 2>&1"
