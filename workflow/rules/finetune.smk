# The folder `finetuned.state` is no output: Snakemake would remove it from a killed job, and training goes on from it.
rule finetune:
    input:
        model=JOBS.model_files,
        splits=[f"{DATA}/{split}.parquet" for split in SPLITS],
        info=f"{DATA}/info.json",
    output:
        folder=directory(f"{RESULTS}/{FINETUNING}/finetuned"),
    log:
        f"{LOGS}/{FINETUNING}/finetune.log",
    benchmark:
        f"{BENCHMARKS}/{FINETUNING}/finetune.tsv"
    priority: JOBS.priority
    conda:
        "../../envs/hyperinf.yaml"
    threads: JOBS.threads
    resources:
        **asked(mem_mb=6000, runtime=240, gpu=JOBS.launched_gpus()),
        device=JOBS.device,
        cache=JOBS.cache,
        launch=JOBS.launch,
    params:
        settings=lambda wildcards: PLAN.finetune(**wildcards).canonical(),
        data=lambda wildcards, input: Path(input.info).parent,
        state=lambda wildcards, output: f"{output.folder}.state",
        code=lambda wildcards: JOBS.family_code(wildcards, "hyperinf.pipeline.finetune"),
    message:
        "Fine-tune {wildcards.model} on {wildcards.task}, {wildcards.trained}, seed {wildcards.seed}"
    shell:
        "{resources.launch} hyperinf finetune --config {params.settings:q} --data {params.data:q} {resources.cache} "
        "{resources.device} --threads {threads} --state {params.state:q} --out {output.folder:q} > {log:q} 2>&1"
