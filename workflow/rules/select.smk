SUBSET = f"{RUN}/fraction-{{fraction}}"


# The folders `fraction-F.state` are no outputs: Snakemake would remove them from a killed job.
rule select:
    input:
        model=JOBS.model_files,
        splits=[f"{DATA}/{split}.parquet" for split in SPLITS],
        info=f"{DATA}/info.json",
        finetuned=JOBS.finetuned,
        scores=JOBS.selecting_scores,
    output:
        metrics=f"{RESULTS}/{SUBSET}/metrics.csv",
        selection=f"{RESULTS}/{SUBSET}/selection.parquet",
        info=f"{RESULTS}/{SUBSET}/info.json",
        settings=f"{RESULTS}/{SUBSET}/settings.yaml",
    log:
        f"{LOGS}/{SUBSET}.log",
    benchmark:
        f"{BENCHMARKS}/{SUBSET}.tsv"
    wildcard_constraints:
        study=one_of(name for name, study in STUDIES.items() if study.selection),
    # Among the longest jobs of a run: what is left to its end runs alone.
    priority: 1
    conda:
        "../../envs/hyperinf.yaml"
    threads: JOBS.threads
    resources:
        **asked(mem_mb=6000, runtime=480, gpu=JOBS.launched_gpus()),
        device=JOBS.device,
        cache=JOBS.cache,
        launch=JOBS.launch,
    params:
        settings=lambda wildcards: PLAN.select(**wildcards).canonical(),
        scores=lambda wildcards, input: some("--scores", input.scores),
        data=lambda wildcards, input: Path(input.info).parent,
        folder=lambda wildcards, output: Path(output.info).parent,
        state=lambda wildcards, output: f"{Path(output.info).parent}.state",
        code=lambda wildcards: JOBS.family_code(wildcards, "hyperinf.pipeline.select"),
    message:
        "Train {wildcards.model} on {wildcards.fraction} of {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}"
    shell:
        "{resources.launch} hyperinf select --config {params.settings:q} --data {params.data:q} "
        "--finetuned {input.finetuned:q} {params.scores:q} {resources.cache} {resources.device} --threads {threads} "
        "--state {params.state:q} --out {params.folder:q} > {log:q} 2>&1"
