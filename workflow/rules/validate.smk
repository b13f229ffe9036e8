RETRAINED = f"{RESULTS}/{FINETUNING}/retrained"
VALIDATION = f"{RUN}/validation"


# The folders `retrained.state` and `validation.state` are no outputs: Snakemake would remove them from a killed job.
rule retrain:
    input:
        model=JOBS.model_files,
        splits=[f"{DATA}/{split}.parquet" for split in SPLITS],
        info=f"{DATA}/info.json",
        finetuned=f"{RESULTS}/{FINETUNING}/finetuned",
    output:
        subsets=f"{RETRAINED}/subsets.parquet",
        losses=f"{RETRAINED}/losses.parquet",
        info=f"{RETRAINED}/info.json",
        settings=f"{RETRAINED}/settings.yaml",
    log:
        f"{LOGS}/{FINETUNING}/retrain.log",
    benchmark:
        f"{BENCHMARKS}/{FINETUNING}/retrain.tsv"
    wildcard_constraints:
        study=one_of(name for name, study in STUDIES.items() if study.validation),
    # It takes longest, and nothing but the validation waits for it.
    priority: 1
    conda:
        "../../envs/hyperinf.yaml"
    threads: JOBS.threads
    resources:
        **asked(mem_mb=6000, runtime=480, gpu=JOBS.gpus()),
        device=JOBS.device,
        cache=JOBS.cache,
    params:
        settings=lambda wildcards: PLAN.retrain(**wildcards).canonical(),
        data=lambda wildcards, input: Path(input.info).parent,
        folder=lambda wildcards, output: Path(output.info).parent,
        state=lambda wildcards, output: f"{Path(output.info).parent}.state",
        code=lambda wildcards: JOBS.family_code(wildcards, "hyperinf.pipeline.retrain"),
    message:
        "Train {wildcards.model} again on parts of {wildcards.task}, {wildcards.trained}, seed {wildcards.seed}"
    shell:
        "python -m hyperinf retrain --config {params.settings:q} --data {params.data:q} --finetuned {input.finetuned:q} "
        "{resources.cache} {resources.device} --threads {threads} --state {params.state:q} --out {params.folder:q} "
        "> {log:q} 2>&1"


rule validate:
    input:
        model=JOBS.model_files,
        splits=[f"{DATA}/{split}.parquet" for split in SPLITS],
        info=f"{DATA}/info.json",
        finetuned=JOBS.finetuned,
        retrained=JOBS.retrained,
    output:
        lds=f"{RESULTS}/{VALIDATION}/lds.csv",
        metrics=f"{RESULTS}/{VALIDATION}/metrics.csv",
        info=f"{RESULTS}/{VALIDATION}/info.json",
        settings=f"{RESULTS}/{VALIDATION}/settings.yaml",
    log:
        f"{LOGS}/{VALIDATION}.log",
    benchmark:
        f"{BENCHMARKS}/{VALIDATION}.tsv"
    wildcard_constraints:
        study=one_of(name for name, study in STUDIES.items() if study.validation),
    conda:
        "../../envs/hyperinf.yaml"
    threads: JOBS.threads
    resources:
        **asked(mem_mb=8000, runtime=480, gpu=JOBS.gpus()),
        device=JOBS.device,
        cache=JOBS.cache,
        gradients=JOBS.stored,
    params:
        settings=lambda wildcards: PLAN.validate(**wildcards).canonical(),
        data=lambda wildcards, input: Path(input.info).parent,
        retrained=lambda wildcards, input: Path(input.retrained[0]).parent,
        folder=lambda wildcards, output: Path(output.info).parent,
        state=lambda wildcards, output: f"{Path(output.info).parent}.state",
        code=lambda wildcards: JOBS.scored_code(wildcards, "hyperinf.pipeline.validate"),
    message:
        "Judge scores of {wildcards.task} by retraining, {wildcards.setting}, seed {wildcards.seed}"
    shell:
        "python -m hyperinf validate --config {params.settings:q} --data {params.data:q} "
        "--finetuned {input.finetuned:q} --retrained {params.retrained:q} {resources.gradients} {resources.cache} "
        "{resources.device} --threads {threads} --state {params.state:q} --out {params.folder:q} > {log:q} 2>&1"
