SELECTION_DATA = f"{RESULTS}/{{study}}/{{task}}/data/seed-{{seed}}"
SELECTION_RUN = "{study}/{task}/{model}/{setting}/seed-{seed}"


rule selection_data:
    input:
        source=lambda wildcards: question_files(wildcards.study, wildcards.task),
    output:
        pool=f"{SELECTION_DATA}/pool.parquet",
        validation=f"{SELECTION_DATA}/validation.parquet",
        test=f"{SELECTION_DATA}/test.parquet",
        info=f"{SELECTION_DATA}/info.json",
    log:
        f"{LOGS}/{{study}}/{{task}}/data/seed-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/{{task}}/data/seed-{{seed}}.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
        gpu=0,
        share=1,
        cache=CACHE,
    params:
        settings=lambda wildcards: question_flags(wildcards.study, wildcards.task),
        folder=lambda wildcards, output: Path(output.info).parent,
        code=code_hash("hyperinf.data.questions", data=["hyperinf/data/prompts.yaml"]),
    message:
        "Draw {wildcards.task} for the {wildcards.study} study, seed {wildcards.seed}"
    shell:
        "python -m hyperinf select data {params.settings:q} --seed {wildcards.seed} --cache {resources.cache:q} "
        "--out {params.folder:q} > {log:q} 2>&1"


# The folders `*.state` are no outputs: Snakemake would remove them from a killed job, and training goes on from them.
rule selection_warmup:
    input:
        model=lambda wildcards: model_files(wildcards.model),
        pool=f"{SELECTION_DATA}/pool.parquet",
        info=f"{SELECTION_DATA}/info.json",
    output:
        weights=directory(f"{RESULTS}/{WARMUP_RUN}/warmup"),
    log:
        f"{LOGS}/{WARMUP_RUN}/warmup.log",
    benchmark:
        f"{BENCHMARKS}/{WARMUP_RUN}/warmup.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: lambda wildcards: config[wildcards.study]["threads"]
    resources:
        mem_mb=grows(6000),
        runtime=grows(240),
        gpu=launched_gpus(),
        share=1,
        device=DEVICE,
        cache=CACHE,
        launch=LAUNCH,
    params:
        model=lambda wildcards: trained_flags(wildcards.study, wildcards.model, wildcards.trained),
        settings=lambda wildcards: flags(
            max_length=config[wildcards.study]["max_length"],
            dtype=config[wildcards.study]["dtype"],
            too_long=config[wildcards.study]["too_long"],
            **config[wildcards.study]["warmup"],
        )
        + (["--checkpointing"] if config[wildcards.study]["checkpointing"] else []),
        data=lambda wildcards, input: Path(input.info).parent,
        state=lambda wildcards, output: f"{output.weights}.state",
        code=code_hash("hyperinf.pipeline.selection.warmup"),
    message:
        "Warm up {wildcards.model} on {wildcards.task}, {wildcards.trained}, seed {wildcards.seed}"
    shell:
        "{resources.launch} hyperinf select warmup --data {params.data:q} {params.model:q} {params.settings:q} "
        "--seed {wildcards.seed} --cache {resources.cache:q} --device {resources.device:q} --threads {threads} "
        "--state {params.state:q} --out {output.weights:q} > {log:q} 2>&1"


rule selection_score:
    input:
        model=lambda wildcards: model_files(wildcards.model),
        pool=f"{SELECTION_DATA}/pool.parquet",
        validation=f"{SELECTION_DATA}/validation.parquet",
        info=f"{SELECTION_DATA}/info.json",
        weights=warmup_of,
        shards=lambda wildcards: shard_files(wildcards),
    output:
        scores=f"{RESULTS}/{SELECTION_RUN}/scores/scores.parquet",
        metrics=f"{RESULTS}/{SELECTION_RUN}/scores/metrics.csv",
        cost=f"{RESULTS}/{SELECTION_RUN}/scores/cost.csv",
        info=f"{RESULTS}/{SELECTION_RUN}/scores/info.json",
    log:
        f"{LOGS}/{SELECTION_RUN}/score.log",
    benchmark:
        f"{BENCHMARKS}/{SELECTION_RUN}/score.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: lambda wildcards: config[wildcards.study]["threads"]
    resources:
        mem_mb=grows(8000),
        runtime=grows(240),
        gpu=gpus(),
        share=1,
        device=DEVICE,
        cache=CACHE,
        gradients=lambda wildcards: config[wildcards.study]["gradients"]["store"],
        batch_size=lambda wildcards: config[wildcards.study]["gradients"]["batch_size"],
    params:
        settings=lambda wildcards: scoring_flags(wildcards.study),
        gradients_of=lambda wildcards: flags(gradients_of=gradients_of(wildcards.setting)),
        # An empty list of baselines is a choice, and must reach the command as such.
        baselines=lambda wildcards: ["--baselines", *config[wildcards.study]["baselines"]],
        data=lambda wildcards, input: Path(input.info).parent,
        shards=lambda wildcards, input: (
            ["--products", input.shards[0], "--parts", *input.shards[1:]] if input.shards else []
        ),
        folder=lambda wildcards, output: Path(output.info).parent,
        code=code_hash("hyperinf.pipeline.selection.score"),
    message:
        "Score the pool of {wildcards.task} with {wildcards.model}, {wildcards.setting}, seed {wildcards.seed}"
    shell:
        "python -m hyperinf select score --data {params.data:q} --weights {input.weights:q} "
        "--task {wildcards.task:q} --model-name {wildcards.model:q} --setting {wildcards.setting:q} "
        "--seed {wildcards.seed} {params.gradients_of:q} {params.settings:q} {params.baselines:q} "
        "--gradients {resources.gradients:q} --batch-size {resources.batch_size} --cache {resources.cache:q} "
        "--device {resources.device:q} --threads {threads} {params.shards:q} --out {params.folder:q} > {log:q} 2>&1"


rule selection_finetune:
    input:
        model=lambda wildcards: model_files(wildcards.model),
        pool=f"{SELECTION_DATA}/pool.parquet",
        test=f"{SELECTION_DATA}/test.parquet",
        info=f"{SELECTION_DATA}/info.json",
        weights=warmup_of,
        # Training on the whole pool needs no scores.
        scores=lambda wildcards: (
            [] if wildcards.percent == "100" else f"{RESULTS}/{SELECTION_RUN}/scores/scores.parquet"
        ),
    output:
        metrics=f"{RESULTS}/{SELECTION_RUN}/fraction-{{percent}}/metrics.csv",
        selection=f"{RESULTS}/{SELECTION_RUN}/fraction-{{percent}}/selection.parquet",
        info=f"{RESULTS}/{SELECTION_RUN}/fraction-{{percent}}/info.json",
    log:
        f"{LOGS}/{SELECTION_RUN}/fraction-{{percent}}.log",
    benchmark:
        f"{BENCHMARKS}/{SELECTION_RUN}/fraction-{{percent}}.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: lambda wildcards: config[wildcards.study]["threads"]
    resources:
        mem_mb=grows(6000),
        runtime=grows(480),
        gpu=launched_gpus(),
        share=1,
        device=DEVICE,
        cache=CACHE,
        launch=LAUNCH,
    params:
        settings=lambda wildcards: flags(**config[wildcards.study]["finetune"]),
        chosen=lambda wildcards: (
            []
            if wildcards.percent == "100"
            else flags(methods=config[wildcards.study]["methods"], strategies=config[wildcards.study]["strategies"])
        ),
        scores=lambda wildcards, input: [f"--scores={input.scores}"] if input.scores else [],
        data=lambda wildcards, input: Path(input.info).parent,
        folder=lambda wildcards, output: Path(output.info).parent,
        state=lambda wildcards, output: f"{Path(output.info).parent}.state",
        code=code_hash("hyperinf.pipeline.selection.finetune"),
    message:
        "Fine-tune {wildcards.model} on {wildcards.percent} % of {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}"
    shell:
        "{resources.launch} hyperinf select finetune --data {params.data:q} --weights {input.weights:q} {params.scores:q} "
        "--task {wildcards.task:q} --model-name {wildcards.model:q} --setting {wildcards.setting:q} "
        "--seed {wildcards.seed} --percent {wildcards.percent} {params.chosen:q} {params.settings:q} --cache {resources.cache:q} "
        "--device {resources.device:q} --threads {threads} --state {params.state:q} --out {params.folder:q} "
        "> {log:q} 2>&1"
