SCORES = f"{RESULTS}/{RUN}/scores/{{checkpoint}}"


def finetuned(wildcards):
    """The fine-tuning that a run scores: the same whatever gradients are taken."""
    trained = wildcards.setting.partition(".of-")[0]
    return f"{RESULTS}/{FINETUNING}/finetuned".format(trained=trained, **wildcards)


def checkpoints(wildcards):
    """The kept weights that a run is scored at."""
    return study_of(wildcards).finetuning.checkpoint_names


rule score:
    input:
        model=lambda wildcards: model_files(wildcards.model),
        splits=[f"{DATA}/{split}.parquet" for split in SPLITS],
        info=f"{DATA}/info.json",
        finetuned=finetuned,
        shards=lambda wildcards: shard_files(wildcards),
    output:
        scores=f"{SCORES}/scores.parquet",
        cost=f"{SCORES}/cost.csv",
        info=f"{SCORES}/info.json",
        settings=f"{SCORES}/settings.yaml",
    log:
        f"{LOGS}/{RUN}/score-{{checkpoint}}.log",
    benchmark:
        f"{BENCHMARKS}/{RUN}/score-{{checkpoint}}.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: threads_of
    resources:
        mem_mb=scaled_by_attempt(8000),
        runtime=scaled_by_attempt(240),
        gpu=gpus(),
        share=1,
        device=DEVICE,
        cache=CACHE,
        gradients=stored,
    params:
        settings=lambda wildcards: PLAN.score(**wildcards).canonical(),
        data=lambda wildcards, input: Path(input.info).parent,
        folder=lambda wildcards, output: Path(output.info).parent,
        shards=lambda wildcards, input: (
            ["--products", input.shards[0], "--parts", *input.shards[1:]] if input.shards else []
        ),
        code=lambda wildcards: scoring_code(wildcards, "hyperinf.pipeline.score"),
    message:
        "Score {wildcards.task} with {wildcards.model}, {wildcards.setting}, seed {wildcards.seed}, {wildcards.checkpoint}"
    shell:
        "python -m hyperinf score --config {params.settings:q} --data {params.data:q} --finetuned {input.finetuned:q} "
        "{params.shards:q} {resources.gradients} {resources.cache} {resources.device} --threads {threads} "
        "--out {params.folder:q} > {log:q} 2>&1"
