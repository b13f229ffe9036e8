SCORES = f"{RESULTS}/{RUN}/scores/{{checkpoint}}"


rule score:
    input:
        model=JOBS.model_files,
        splits=[f"{DATA}/{split}.parquet" for split in SPLITS],
        info=f"{DATA}/info.json",
        finetuned=JOBS.finetuned,
        earlier=JOBS.earlier_scores,
        shards=JOBS.shard_files,
    output:
        scores=f"{SCORES}/scores.parquet",
        cost=f"{SCORES}/cost.csv",
        info=f"{SCORES}/info.json",
        settings=f"{SCORES}/settings.yaml",
    log:
        f"{LOGS}/{RUN}/score-{{checkpoint}}.log",
    benchmark:
        f"{BENCHMARKS}/{RUN}/score-{{checkpoint}}.tsv"
    priority: JOBS.priority
    conda:
        "../../envs/hyperinf.yaml"
    threads: JOBS.threads
    resources:
        **asked(mem_mb=8000, runtime=240, gpu=JOBS.gpus()),
        device=JOBS.device,
        cache=JOBS.cache,
        gradients=JOBS.stored,
    params:
        settings=lambda wildcards: PLAN.score(**wildcards).canonical(),
        data=lambda wildcards, input: Path(input.info).parent,
        folder=lambda wildcards, output: Path(output.info).parent,
        earlier=lambda wildcards, input: some("--earlier", [Path(file).parent for file in input.earlier]),
        shards=lambda wildcards, input: (
            ["--products", input.shards[0], "--parts", *input.shards[1:]] if input.shards else []
        ),
        code=JOBS.score_code,
    message:
        "Score {wildcards.task} with {wildcards.model}, {wildcards.setting}, seed {wildcards.seed}, {wildcards.checkpoint}"
    shell:
        "python -m hyperinf score --config {params.settings:q} --data {params.data:q} --finetuned {input.finetuned:q} "
        "{params.earlier:q} {params.shards:q} {resources.gradients} {resources.cache} {resources.device} --threads {threads} "
        "--out {params.folder:q} > {log:q} 2>&1"
