# Scoring in shards, where `shards` of a study is above 1: sums over each shard are added, solved, and scores gathered by
# the rule selection_score. What is passed from step to step is as large as the GFIM of all layers, and goes when it has
# been used.
SHARDS = f"{RESULTS}/{SELECTION_RUN}/shards-{{total}}"
SHARD_LOGS = f"{LOGS}/{SELECTION_RUN}/shards-{{total}}"
SHARD_BENCHMARKS = f"{BENCHMARKS}/{SELECTION_RUN}/shards-{{total}}"


wildcard_constraints:
    total="[0-9]+",
    shard="[0-9]+",
    round="[0-9]+",
    summed="statistics|sums-[0-9]+",


rule shard_target:
    input:
        model=lambda wildcards: model_files(wildcards.model),
        validation=f"{SELECTION_DATA}/validation.parquet",
        info=f"{SELECTION_DATA}/info.json",
        weights=warmup_of,
    output:
        target=temp(f"{SHARDS}/target.safetensors"),
    log:
        f"{SHARD_LOGS}/target.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/target.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: lambda wildcards: config[wildcards.study]["threads"]
    resources:
        mem_mb=grows(6000),
        runtime=grows(120),
        gpu=gpus(),
        share=1,
        device=DEVICE,
        cache=CACHE,
        batch_size=lambda wildcards: config[wildcards.study]["gradients"]["batch_size"],
    params:
        gradients_of=lambda wildcards: flags(gradients_of=gradients_of(wildcards.setting)),
        data=lambda wildcards, input: Path(input.info).parent,
        code=code_hash("hyperinf.pipeline.selection.gradients", "hyperinf.pipeline.sharding.steps"),
    message:
        "Mean gradient of the validation set of {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}"
    shell:
        "python -m hyperinf select shard-target --data {params.data:q} --weights {input.weights:q} "
        "{params.gradients_of:q} --batch-size {resources.batch_size} --cache {resources.cache:q} "
        "--device {resources.device:q} --threads {threads} --out {output.target:q} > {log:q} 2>&1"


rule shard_statistics:
    input:
        model=lambda wildcards: model_files(wildcards.model),
        pool=f"{SELECTION_DATA}/pool.parquet",
        info=f"{SELECTION_DATA}/info.json",
        weights=warmup_of,
    output:
        part=temp(f"{SHARDS}/statistics-{{shard}}.safetensors"),
    log:
        f"{SHARD_LOGS}/statistics-{{shard}}.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/statistics-{{shard}}.tsv"
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
        batch_size=lambda wildcards: config[wildcards.study]["gradients"]["batch_size"],
    params:
        settings=lambda wildcards: scoring_flags(wildcards.study),
        gradients_of=lambda wildcards: flags(gradients_of=gradients_of(wildcards.setting)),
        data=lambda wildcards, input: Path(input.info).parent,
        code=code_hash("hyperinf.pipeline.selection.gradients", "hyperinf.pipeline.sharding.steps"),
    message:
        "Sum the statistics of shard {wildcards.shard} of {wildcards.total}, {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}"
    shell:
        "python -m hyperinf select shard-statistics --data {params.data:q} --weights {input.weights:q} "
        "--shard {wildcards.shard} --shards {wildcards.total} {params.settings:q} "
        "{params.gradients_of:q} --batch-size {resources.batch_size} --cache {resources.cache:q} "
        "--device {resources.device:q} --threads {threads} --out {output.part:q} > {log:q} 2>&1"


rule shard_sums:
    input:
        model=lambda wildcards: model_files(wildcards.model),
        pool=f"{SELECTION_DATA}/pool.parquet",
        info=f"{SELECTION_DATA}/info.json",
        weights=warmup_of,
        target=f"{SHARDS}/target.safetensors",
        statistics=f"{SHARDS}/statistics.safetensors",
        sums=sums_before,
    output:
        part=temp(f"{SHARDS}/sums-{{round}}-{{shard}}.safetensors"),
    log:
        f"{SHARD_LOGS}/sums-{{round}}-{{shard}}.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/sums-{{round}}-{{shard}}.tsv"
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
        batch_size=lambda wildcards: config[wildcards.study]["gradients"]["batch_size"],
    params:
        settings=lambda wildcards: scoring_flags(wildcards.study),
        gradients_of=lambda wildcards: flags(gradients_of=gradients_of(wildcards.setting)),
        sums=lambda wildcards, input: sums_flags(input.sums),
        data=lambda wildcards, input: Path(input.info).parent,
        code=code_hash("hyperinf.pipeline.selection.gradients", "hyperinf.pipeline.sharding.steps"),
    message:
        "Round {wildcards.round} of sums, shard {wildcards.shard} of {wildcards.total}, {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}"
    shell:
        "python -m hyperinf select shard-sums --data {params.data:q} --weights {input.weights:q} "
        "--shard {wildcards.shard} --shards {wildcards.total} {params.settings:q} "
        "--target {input.target:q} --statistics {input.statistics:q} {params.sums:q} "
        "{params.gradients_of:q} --batch-size {resources.batch_size} --cache {resources.cache:q} "
        "--device {resources.device:q} --threads {threads} --out {output.part:q} > {log:q} 2>&1"


rule shard_add:
    input:
        parts=lambda wildcards: shards(f"{SHARDS}/{wildcards.summed}".format(**wildcards), wildcards.total),
    output:
        whole=temp(f"{SHARDS}/{{summed}}.safetensors"),
    log:
        f"{SHARD_LOGS}/{{summed}}.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/{{summed}}.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        mem_mb=grows(8000),
        runtime=grows(60),
        gpu=0,
        share=1,
    params:
        what=lambda wildcards: wildcards.summed.partition("-")[0],
        code=code_hash("hyperinf.pipeline.sharding.steps"),
    message:
        "Add the {wildcards.summed} of {wildcards.total} shards, {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}"
    shell:
        "python -m hyperinf shards add --what {params.what} --parts {input.parts:q} --out {output.whole:q} > {log:q} 2>&1"


rule shard_solve:
    input:
        target=f"{SHARDS}/target.safetensors",
        statistics=f"{SHARDS}/statistics.safetensors",
        sums=sums_before,
    output:
        products=temp(f"{SHARDS}/products.safetensors"),
    log:
        f"{SHARD_LOGS}/products.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/products.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: lambda wildcards: config[wildcards.study]["threads"]
    resources:
        mem_mb=grows(8000),
        runtime=grows(240),
        gpu=gpus(),
        share=1,
        device=DEVICE,
    params:
        settings=lambda wildcards: scoring_flags(wildcards.study),
        sums=lambda wildcards, input: sums_flags(input.sums),
        code=code_hash("hyperinf.pipeline.sharding.steps"),
    message:
        "Invert the curvature by every method, {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}"
    shell:
        "python -m hyperinf shards solve --target {input.target:q} --statistics {input.statistics:q} {params.sums:q} "
        "{params.settings:q} --device {resources.device:q} --threads {threads} --out {output.products:q} > {log:q} 2>&1"


rule shard_scores:
    input:
        model=lambda wildcards: model_files(wildcards.model),
        pool=f"{SELECTION_DATA}/pool.parquet",
        info=f"{SELECTION_DATA}/info.json",
        weights=warmup_of,
        products=f"{SHARDS}/products.safetensors",
    output:
        part=temp(f"{SHARDS}/scores-{{shard}}.safetensors"),
    log:
        f"{SHARD_LOGS}/scores-{{shard}}.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/scores-{{shard}}.tsv"
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
        batch_size=lambda wildcards: config[wildcards.study]["gradients"]["batch_size"],
    params:
        settings=lambda wildcards: scoring_flags(wildcards.study),
        gradients_of=lambda wildcards: flags(gradients_of=gradients_of(wildcards.setting)),
        data=lambda wildcards, input: Path(input.info).parent,
        code=code_hash("hyperinf.pipeline.selection.gradients", "hyperinf.pipeline.sharding.steps"),
    message:
        "Score shard {wildcards.shard} of {wildcards.total}, {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}"
    shell:
        "python -m hyperinf select shard-scores --data {params.data:q} --weights {input.weights:q} "
        "--shard {wildcards.shard} --shards {wildcards.total} {params.settings:q} --products {input.products:q} "
        "{params.gradients_of:q} --batch-size {resources.batch_size} --cache {resources.cache:q} "
        "--device {resources.device:q} --threads {threads} --out {output.part:q} > {log:q} 2>&1"
